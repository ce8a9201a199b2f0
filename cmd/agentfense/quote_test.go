package main

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestQuoteName(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"plain stays":                 {"/src/a b.go", "/src/a b.go"},
		"other scripts stay":          {"/文件.txt", "/文件.txt"},
		"escape sequences are shown":  {"\x1b[2J", `"\x1b[2J"`},
		"a new line is shown":         {"a\nb", `"a\nb"`},
		"bytes are shown":             {"\xff", `"\xff"`},
		"text direction is shown":     {"a\u202eb", `"a\u202eb"`},
		"a quoted look is told apart": {`"a"`, `"\"a\""`},
		"a backslash is told apart":   {`a\n`, `"a\\n"`},
		"spaces around are shown":     {" a", `" a"`},
		"nothing is shown":            {"", `""`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quoteName(tt.in); got != tt.want {
				t.Errorf("quoteName(%q) = %s, want %s", tt.in, got, tt.want)
			}
		})
	}
}

func TestQuotedNamesAreHarmlessAndDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOf(rapid.Byte()).Draw(t, "name"))
		got := quoteName(name)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("quoteName(%q) = %q is not printable", name, got)
		}
		back := got
		if strings.HasPrefix(got, `"`) {
			var err error
			if back, err = strconv.Unquote(got); err != nil {
				t.Fatalf("quoteName(%q) = %s: %v", name, got, err)
			}
		}
		if back != name {
			t.Fatalf("quoteName(%q) = %s, which means %q", name, got, back)
		}
	})
}

func TestMessagesAreHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := printable(string(rapid.SliceOf(rapid.Byte()).Draw(t, "message")))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Fatalf("%q is not printable", got)
		}
	})
}
