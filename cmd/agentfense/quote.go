package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoteName makes a name from a codebase fit for a terminal: as it is if it is
// plain, else quoted, with everything that is not printable escaped.
func quoteName(name string) string {
	if name == "" || !utf8.ValidString(name) || strings.TrimSpace(name) != name {
		return strconv.Quote(name)
	}
	for _, r := range name {
		if !strconv.IsPrint(r) || r == '"' || r == '\\' {
			return strconv.Quote(name)
		}
	}
	return name
}

// printable makes a message that may quote foreign names fit for a terminal:
// what is not printable is escaped, but for line ends.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}
