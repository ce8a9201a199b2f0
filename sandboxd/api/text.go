package api

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// valid returns s with what is not UTF-8 replaced, for proto strings.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// text splits output for the wire: a string, and the exact bytes where the
// string is not exact.
func text(b []byte) (string, []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return valid(string(b)), b
}

// base is path.Base for a clean relative path; the root's is empty.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

// seconds writes a duration as a decimal number of seconds.
func itoa(n int) string { return strconv.Itoa(n) }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
