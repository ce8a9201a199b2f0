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
	state, large := "a\nb\n", strings.Repeat("x", 1<<20)+"\n"
	for name, tt := range map[string]struct {
		sent string
		want report
		err  error
	}{
		"a report":                   {"k d 7 3 hB\n", report{seq: 7, code: 3, flags: "hB"}, nil},
		"no flags":                   {"k d 7 0 \n", report{seq: 7}, nil},
		"an older one is skipped":    {"k d 6 1 h\nk m 6 9\nk d 7 2 h\n", report{seq: 7, code: 2, flags: "h"}, nil},
		"noise before it":            {"x\n\nkk d 7 1\nk\nd 7 1\n\nk d 7 0 h\n", report{seq: 7, flags: "h"}, nil},
		"a line without end before":  {"x\x1e\x1ek d 7 0 h\n", report{seq: 7, flags: "h"}, nil},
		"a state":                    {"k r 4\na\nb\nk .\n", report{code: 4, revived: true, state: state}, nil},
		"a large state":              {"k r 4\n" + large + "k .\n", report{code: 4, revived: true, state: large}, nil},
		"a number that is too large": {"k d 7 65536 h\n", report{}, errProtocol},
		"a signal in ksh":            {"k d 7 265 h\n", report{seq: 7, code: 137, flags: "h"}, nil},
		"a negative number":          {"k d 7 -1 h\n", report{}, errProtocol},
		"a mark that is too large":   {"k m 7 4294967296\n", report{}, errProtocol},
		"a number missing":           {"k d 7\n", report{}, errProtocol},
		"another word":               {"k x 7 1\n", report{}, errProtocol},
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
			if len(c.buf) > maxState+64<<10 || err == nil && cap(c.buf) > maxKept {
				t.Errorf("%d bytes are kept", cap(c.buf))
			}
			c.conn.Close()
			<-written
		})
	}
}

// A mark comes with a report or later, and may be found before it is read.
func TestMarks(t *testing.T) {
	c, theirs, err := newChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	defer theirs.Close()
	c.key = "k"
	for _, step := range []struct {
		sent string
		next uint32 // the report to read then; zero: none
		seq  uint32
		want uint32
	}{
		{"k m 1 10\nk d 1 0 h\n", 1, 2, 10},
		{"k d 2 0 h\nk m 2 20\nk d 3 0 h\n", 3, 3, 20},
		{"k m 3 30\nk m 4 4", 0, 4, 30},
		{"0\n", 0, 4, 30},
		{"k d 4 0 h\n", 4, 5, 40},
	} {
		if _, err := theirs.WriteString(step.sent); err != nil {
			t.Fatal(err)
		}
		if step.next > 0 {
			if r, err := c.next(step.next); err != nil || r.seq != step.next {
				t.Errorf("next(%d) = %v, %v", step.next, r, err)
			}
		}
		if got := c.markBefore(step.seq); got != step.want {
			t.Errorf("after %q: markBefore(%d) = %d, want %d", step.sent, step.seq, got, step.want)
		}
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

// What is read of a state counts until it was given back, whatever becomes of it.
func TestStatesOfAnOwnerAreBounded(t *testing.T) {
	const owner = 1000
	r := &Registry{}
	open := func() (*channel, *os.File) {
		c, theirs, err := newChannel()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.conn.Close(); theirs.Close() })
		c.key, c.hold = "k", func(n int) bool { return r.holdState(owner, n) }
		return c, theirs
	}
	send := func(theirs *os.File, text string) {
		if _, err := theirs.WriteString(text); err != nil {
			t.Error(err)
		}
	}
	c, theirs := open()
	send(theirs, "k r 0\n"+strings.Repeat("x\n", 10<<10)+"k .\n")
	if got, err := c.next(1); err != nil || len(got.state) != 20<<10 || r.states[owner] < 16<<10 {
		t.Errorf("%d bytes count for a state of %d, %v", r.states[owner], len(got.state), err)
	}
	other, those := open()
	r.states[owner] += maxStates - 32<<10
	send(those, "k r 0\n"+strings.Repeat("x", 40<<10))
	if _, err := other.next(1); !errors.Is(err, errProtocol) {
		t.Errorf("a state over the limit = %v", err)
	}
	other.letGo()
	r.states[owner] -= maxStates - 32<<10
	send(theirs, "k d 1 0 h\n")
	if _, err := c.next(1); err != nil || len(r.states) != 0 {
		t.Errorf("%d bytes count in the end, %v", r.states[owner], err)
	}
}
