package session

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestReportsAreFoundAmongNoise(t *testing.T) {
	const key = "k"
	state := "a\nb\n"
	for name, tt := range map[string]struct {
		sent string
		want report
		err  error
	}{
		"a report":                   {"k d 7 3 99 hB\n", report{seq: 7, code: 3, mark: 99, flags: "hB"}, nil},
		"no flags":                   {"k d 7 0 0 \n", report{seq: 7}, nil},
		"an older one is skipped":    {"k d 6 1 1 h\nk d 7 2 3 h\n", report{seq: 7, code: 2, mark: 3, flags: "h"}, nil},
		"noise before it":            {"x\n\nkk d 7 1 1\nk\nd 7 1 1\n\nk d 7 0 1 h\n", report{seq: 7, mark: 1, flags: "h"}, nil},
		"a line without end before":  {"x\x1e\x1ek d 7 0 1 h\n", report{seq: 7, mark: 1, flags: "h"}, nil},
		"a state":                    {"k r 4\na\nb\nk .\n", report{code: 4, revived: true, state: state}, nil},
		"a number that is too large": {"k d 7 65536 1 h\n", report{}, errProtocol},
		"a signal in ksh":            {"k d 7 265 1 h\n", report{seq: 7, code: 137, mark: 1, flags: "h"}, nil},
		"a negative number":          {"k d 7 -1 1 h\n", report{}, errProtocol},
		"a mark that is too large":   {"k d 7 1 4294967296 h\n", report{}, errProtocol},
		"a number missing":           {"k d 7\n", report{}, errProtocol},
		"another word":               {"k x 7 1 1\n", report{}, errProtocol},
		"nothing":                    {"k \n", report{}, errProtocol},
		"a line without end":         {strings.Repeat("x", maxLine+8<<10), report{}, errProtocol},
		"noise without end":          {strings.Repeat("x\n", maxNoise), report{}, errProtocol},
		"a state without end":        {"k r 0\n" + strings.Repeat(strings.Repeat("x", 1<<20)+"\n", 9), report{}, errProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			c, theirs, err := newChannel()
			if err != nil {
				t.Fatal(err)
			}
			defer c.conn.Close()
			c.key = key
			written := make(chan struct{})
			go func() {
				defer close(written)
				_, _ = theirs.WriteString(tt.sent) // the channel may close first
				theirs.Close()
			}()
			got, err := c.next(7)
			if !errors.Is(err, tt.err) || tt.err == nil && got != tt.want {
				t.Errorf("next(7) = %.200v, %v, want %.200v, %v", got, err, tt.want, tt.err)
			}
			if len(c.buf) > maxState+64<<10 {
				t.Errorf("%d bytes are kept", len(c.buf))
			}
			c.conn.Close()
			<-written
		})
	}
}

func TestChannelStops(t *testing.T) {
	c, theirs, err := newChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	defer theirs.Close()
	c.stop()
	if _, err := c.next(0); !errors.Is(err, os.ErrDeadlineExceeded) || gone(err) {
		t.Errorf("next(0): %v", err)
	}
	if _, err := c.conn.Write(bytes.Repeat([]byte("x"), 4<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
}

func TestDialects(t *testing.T) {
	for shell, want := range map[string]bool{
		"bash": true, "sh": true, "dash": true, "zsh": true, "ksh": true, "/bin/bash": true, "/usr/local/bin/zsh": true,
		"": false, "fish": false, "bin/bash": false, "./sh": false, "python3": false, "/bin/": false, "/": false, "sh\n": false,
	} {
		if _, err := dialectOf(shell); (err == nil) != want || err != nil && !errors.Is(err, ErrShell) {
			t.Errorf("dialectOf(%q): %v", shell, err)
		}
	}
	for text, want := range map[string]string{"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "'": `''\'''`} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
	if got := (line{text: "#c", code: 3, flags: "hvxB"}).traced(); got != "set -x;set -v;#c" {
		t.Errorf("traced() = %q", got)
	}
}
