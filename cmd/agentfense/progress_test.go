package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProgressAtATerminal(t *testing.T) {
	_, endpoint := standing(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "large")
	if err := os.WriteFile(file, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("into a sandbox", func(t *testing.T) {
		p := sit(t, endpoint, "cp", file, "sb_1:large")
		p.await("\rlarge  [")
		p.await(" of 5.0 MiB\x1b[K")
		p.await("\r\x1b[K")
		p.ends(0)
	})
	t.Run("out of a sandbox", func(t *testing.T) {
		p := sit(t, endpoint, "cp", "sb_1:large", filepath.Join(dir, "copy"))
		p.await("\rlarge  [")
		p.await(" of 5.0 MiB\x1b[K")
		p.await("\r\x1b[K")
		p.ends(0)
		if fi, err := os.Stat(filepath.Join(dir, "copy")); err != nil || fi.Size() != 5<<20 {
			t.Errorf("copied %v, %v", fi, err)
		}
	})
	t.Run("while the daemon reads a directory", func(t *testing.T) {
		long := filepath.Join(dir, "long")
		if err := os.Mkdir(long, 0o700); err != nil {
			t.Fatal(err)
		}
		p := sit(t, endpoint, "run", "--dir", long, "--", "echo", "over")
		p.await("long  1234 files  2.0 KiB\x1b[K")
		p.await("\r\x1b[K")
		p.await("over")
		p.ends(0)
	})
}

func TestProgressOfWhatIsSoonOver(t *testing.T) {
	var out strings.Builder
	p := &progress{w: &out, next: time.Now().Add(time.Hour)}
	p.begin()
	p.copied("a", 1, 1, 2)
	p.clear()
	if out.Len() > 0 {
		t.Errorf("%q was shown", out.String())
	}
	p.next = time.Time{}
	p.copied("a", 1, 2, 2)
	p.begin()
	p.copied("b", 1, 1, 1) // too soon after the other
	p.clear()
	p.clear()
	if want := "\ra  [====================] 100 %  2 B of 2 B\x1b[K\r\x1b[K"; out.String() != want {
		t.Errorf("shown is %q, want %q", out.String(), want)
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if p := (&app{stderr: w}).progress(); p != nil {
		t.Error("a pipe has progress")
	}
	var none *progress
	none.begin()
	none.copied("a", 1, 1, 2)
	none.ingest("a", 1, 2)
	none.clear()
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		done, total int64
		want        string
	}{
		{0, 100, "[                    ]   0 %  0 B of 100 B"},
		{99, 100, "[=================== ]  99 %  99 B of 100 B"},
		{100, 100, "[====================] 100 %  100 B of 100 B"},
		{5, 0, "5 B"},
		{200, 100, "200 B"}, // it has grown
	} {
		if got := bar(tt.done, tt.total); got != tt.want {
			t.Errorf("bar(%d, %d) = %q, want %q", tt.done, tt.total, got, tt.want)
		}
	}
	if got := shortened(strings.Repeat("ä", 100)); got != "..."+strings.Repeat("ä", 25) {
		t.Errorf("shortened() = %q", got)
	}
}
