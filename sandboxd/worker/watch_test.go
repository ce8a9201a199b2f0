package worker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newCall() *longCall {
	return &longCall{slots: make(chan struct{}, 1), next: make(chan struct{}, 1), stop: make(chan struct{}), interrupt: func() {}}
}

// watching is a watcher of a test's own directory.
type watching struct {
	*testing.T
	*watcher
	dir string
}

func watchDir(t *testing.T, recursive bool) *watching {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"a/b", "c"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := newCall()
	c.take()
	w, err := newWatcher(dir, recursive, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return &watching{t, w, dir}
}

// drain handles what the kernel has to tell, and returns it.
func (w *watching) drain() []Event {
	w.Helper()
	buf := make([]byte, inotifyBuffer)
	for {
		n, err := unix.Read(w.fd, buf)
		if err != nil {
			break
		}
		if err := w.handle(buf[:n]); err != nil {
			w.Fatal(err)
		}
	}
	w.settled()
	events := w.pending
	w.pending = nil
	return events
}

func describeEvents(events []Event) string {
	var out []string
	for _, e := range events {
		s := string("?+m-ao"[e.Change]) + e.Path
		if e.Dir {
			s += "/"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (w *watching) do(f func(dir string) error) {
	w.Helper()
	if err := f(w.dir); err != nil {
		w.Fatal(err)
	}
}

func TestWatchTellsWhatChanged(t *testing.T) {
	write := func(rel, content string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, rel), []byte(content), 0o644) }
	}
	rename := func(from, to string) func(string) error {
		return func(dir string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	}
	mkdir := func(rel string) func(string) error {
		return func(dir string) error { return os.MkdirAll(filepath.Join(dir, rel), 0o755) }
	}
	for name, tt := range map[string]struct {
		flat bool
		do   []func(string) error
		want string
	}{
		"a new file":                 {false, []func(string) error{write("a/x", "1")}, "+a/x ma/x"},
		"a new file, deep":           {false, []func(string) error{write("a/b/x", "")}, "+a/b/x"},
		"names of any bytes":         {false, []func(string) error{write("a/\xff\n", "")}, "+a/\xff\n"},
		"only the directory itself":  {true, []func(string) error{write("a/x", ""), write("y", "")}, "+y"},
		"a rename":                   {false, []func(string) error{write("a/x", ""), rename("a/x", "c/y")}, "+a/x -a/x +c/y"},
		"a tree made at once":        {false, []func(string) error{mkdir("n/m"), write("n/m/x", "")}, "+n/ +n/m/ +n/m/x"},
		"a directory's permissions":  {false, []func(string) error{func(d string) error { return os.Chmod(d+"/a", 0o700) }}, "aa/"},
		"a tree that moves":          {false, []func(string) error{rename("a", "e"), write("e/b/x", "")}, "-a/ +e/ +e/b/ +e/b/x"},
		"a file below one that does": {false, []func(string) error{rename("a/b", "d"), write("d/x", ""), rename("d", "c/d"), write("c/d/y", "")}, "-a/b/ +d/ -d/ +c/d/ +c/d/x +c/d/y"},
		"one that is made twice":     {false, []func(string) error{mkdir("n"), func(d string) error { return os.Remove(d + "/n") }, mkdir("n"), write("n/x", "")}, "+n/ +n/x -n/ +n/ +n/x"},
		"the watched one's mode":     {false, []func(string) error{func(d string) error { return os.Chmod(d, 0o700) }}, "a/"},
		"the watched one moves":      {false, []func(string) error{func(d string) error { return os.Rename(d, d+"2") }}, "-/"},
	} {
		t.Run(name, func(t *testing.T) {
			w := watchDir(t, !tt.flat)
			for _, f := range tt.do {
				w.do(f)
			}
			if got := describeEvents(w.drain()); got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWatchFindsADirectoryBeforeTheNewsOfItsMove moves one into another that is
// not watched yet.
func TestWatchFindsADirectoryBeforeTheNewsOfItsMove(t *testing.T) {
	w := watchDir(t, true)
	w.do(func(d string) error { return os.Mkdir(d+"/n", 0o755) })
	w.do(func(d string) error { return os.Rename(d+"/a", d+"/n/a") })
	if got := describeEvents(w.drain()); got != "+n/ +n/a/ +n/a/b/ -a/" {
		t.Errorf("told %q", got)
	}
	w.do(func(d string) error { return os.WriteFile(d+"/n/a/x", nil, 0o600) })
	w.do(func(d string) error { return os.WriteFile(d+"/n/a/b/y", nil, 0o600) })
	if got := describeEvents(w.drain()); got != "+n/a/x +n/a/b/y" {
		t.Errorf("then told %q", got)
	}
	if n := len(w.tree.byWD); n != 5 {
		t.Errorf("%d directories are watched, there are 5", n)
	}
}

func TestWatchEndsWithItsDirectory(t *testing.T) {
	w := watchDir(t, true)
	w.do(os.RemoveAll)
	events := w.drain()
	if len(events) == 0 || events[len(events)-1] != (Event{Removal, "", true}) || !w.gone {
		t.Errorf("told %s, gone is %v", describeEvents(events), w.gone)
	}
}

func TestWatchFollowsNoLink(t *testing.T) {
	w := watchDir(t, true)
	outside := t.TempDir()
	w.do(func(d string) error { return os.Symlink(outside, d+"/link") })
	w.do(func(d string) error { return os.RemoveAll(d + "/c") })
	w.do(func(d string) error { return os.Symlink(outside, d+"/c") })
	w.do(func(string) error { return os.WriteFile(outside+"/there", nil, 0o600) })
	// By the time that the news of a directory is read it is a link.
	w.do(func(d string) error { return os.Mkdir(d+"/late", 0o755) })
	w.do(func(d string) error { return os.Remove(d + "/late") })
	w.do(func(d string) error { return os.Symlink(outside, d+"/late") })
	if got := describeEvents(w.drain()); got != "+link -c/ +c +late/ -late/ +late" {
		t.Errorf("told %q", got)
	}
	w.do(func(string) error { return os.WriteFile(outside+"/x", nil, 0o600) })
	if events := w.drain(); len(events) != 0 || len(w.tree.byWD) != 3 {
		t.Errorf("then told %q; %d directories are watched", describeEvents(events), len(w.tree.byWD))
	}
}

func TestWatchTellsOverflowAndGoesOn(t *testing.T) {
	w := watchDir(t, true)
	w.do(func(d string) error {
		for i := range maxPending + 10 {
			if err := os.WriteFile(fmt.Sprintf("%s/a/%d", d, i), nil, 0o600); err != nil {
				return err
			}
		}
		return os.Mkdir(d+"/new", 0o755)
	})
	events := w.drain()
	if !slices.Contains(events, Event{Overflow, "", true}) {
		t.Fatalf("%d events without an overflow", len(events))
	}
	w.do(func(d string) error { return os.WriteFile(d+"/new/x", nil, 0o600) })
	if got := describeEvents(w.drain()); got != "+new/x" {
		t.Errorf("then told %q", got)
	}
}

// TestWatchLosesNothing compares a copy that only follows what is told with
// the tree itself.
func TestWatchLosesNothing(t *testing.T) {
	for seed := range uint64(30) {
		w := watchDir(t, true)
		r := rand.New(rand.NewPCG(seed, 0))
		known := map[string]bool{"a": true, "a/b": true, "c": true}
		apply := func(events []Event) {
			for _, e := range events {
				switch e.Change {
				case Created:
					known[e.Path] = true
				case Removal:
					for p := range known {
						if p == e.Path || strings.HasPrefix(p, e.Path+"/") {
							delete(known, p)
						}
					}
				}
			}
		}
		names := []string{"a", "a/b", "c", "d", "d/e", "d/e/f", "c/g"}
		pick := func() string { return filepath.Join(w.dir, names[r.IntN(len(names))]) }
		for range 300 {
			switch r.IntN(6) {
			case 0:
				_ = os.MkdirAll(pick(), 0o755)
			case 1:
				_ = os.WriteFile(pick()+"/file", nil, 0o600)
			case 2:
				_ = os.Rename(pick(), pick())
			case 3:
				_ = os.RemoveAll(pick())
			case 4:
				_ = os.Rename(pick()+"/file", pick()+"/moved")
			case 5:
				apply(w.drain())
			}
		}
		apply(w.drain())
		var want []string
		_ = filepath.WalkDir(w.dir, func(p string, _ os.DirEntry, _ error) error {
			if p != w.dir {
				want = append(want, p[len(w.dir)+1:])
			}
			return nil
		})
		slices.Sort(want)
		var got []string
		for p := range known {
			got = append(got, p)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: followed to %v, it is %v", seed, got, want)
		}
	}
}
