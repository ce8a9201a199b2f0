package worker

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func removed(t *testing.T, path string, recursive bool) error {
	t.Helper()
	r := remove(&Remove{ID: 1, Path: path, Recursive: recursive}, newCall())
	if r.Errno == 0 {
		return nil
	}
	return &os.PathError{Op: "remove", Path: r.Path, Err: syscall.Errno(r.Errno)}
}

func TestRemove(t *testing.T) {
	for name, tt := range map[string]struct {
		path      string
		recursive bool
		want      error
		left      string
	}{
		"a file":                         {"f", false, nil, "d d/e d/e/g d/l l"},
		"a link, not its target":         {"l", true, nil, "d d/e d/e/g d/l f"},
		"a tree":                         {"d", true, nil, "f l"},
		"a directory that is not empty":  {"d", false, unix.ENOTEMPTY, "d d/e d/e/g d/l f l"},
		"what is not there":              {"n", true, unix.ENOENT, "d d/e d/e/g d/l f l"},
		"below what is not there":        {"n/x", true, unix.ENOENT, "d d/e d/e/g d/l f l"},
		"below a file":                   {"f/x", true, unix.ENOTDIR, "d d/e d/e/g d/l f l"},
		"a tree in a tree, not the rest": {"d/e", true, nil, "d d/l f l"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			for _, f := range []string{dir + "/f", dir + "/d/e/g", outside + "/kept"} {
				if err := errors.Join(os.MkdirAll(filepath.Dir(f), 0o755), os.WriteFile(f, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			for _, l := range []string{dir + "/l", dir + "/d/l"} {
				if err := os.Symlink(outside, l); err != nil {
					t.Fatal(err)
				}
			}
			err := removed(t, filepath.Join(dir, tt.path), tt.recursive)
			if !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
			var left []string
			_ = filepath.WalkDir(dir, func(p string, _ os.DirEntry, _ error) error {
				left = append(left, strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"))
				return nil
			})
			if got := strings.TrimSpace(strings.Join(left, " ")); got != tt.left {
				t.Errorf("left is %q, want %q", got, tt.left)
			}
			if _, err := os.Stat(outside + "/kept"); err != nil {
				t.Error("a link was followed")
			}
		})
	}
}

func TestRemoveOfDeepAndOddTrees(t *testing.T) {
	dir := t.TempDir()
	top := dir + "/top"
	if err := os.Mkdir(top, 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("\xff\n", 100)
	for range 5000 { // a path of a megabyte
		if err := unix.Mkdirat(int(at.Fd()), name, 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Openat(int(at.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		at.Close()
		at = os.NewFile(uintptr(fd), "deep")
	}
	for _, odd := range []string{"-rf", "*", "\x01", "..."} {
		if err := unix.Mkdirat(int(at.Fd()), odd, 0); err != nil {
			t.Fatal(err)
		}
	}
	at.Close()
	before := openFiles(t)
	if err := removed(t, top, true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(top); !os.IsNotExist(err) {
		t.Errorf("the top is still there: %v", err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestRemoveOfATreeWiderThanAChunk(t *testing.T) {
	dir := t.TempDir() + "/d"
	for i := range removeChunk + 100 {
		p := filepath.Join(dir, "sub", strings.Repeat("x", i%50)+string(rune('a'+i%26))+strconv.Itoa(i))
		if i == 0 {
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := removed(t, dir, true); err != nil {
		t.Fatal(err)
	}
}

// TestRemoveWhileDirectoriesBecomeLinks is the race by which rm -r was once
// led out of its tree.
func TestRemoveWhileDirectoriesBecomeLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(outside+"/kept", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.MkdirAll(dir+"/d/e/f", 0o755)
			_ = os.Rename(dir+"/d/e", dir+"/aside")
			_ = os.Symlink(outside, dir+"/d/e")
			_ = os.Remove(dir + "/d/e")
			_ = os.Rename(dir+"/aside", dir+"/d/e")
			_ = os.Rename(dir+"/d/e/f", dir+"/elsewhere")
			_ = os.RemoveAll(dir + "/aside")
			_ = os.RemoveAll(dir + "/elsewhere")
		}
	})
	for range 300 {
		_ = removed(t, dir+"/d", true)
	}
	close(stop)
	wg.Wait()
	if _, err := os.Stat(outside + "/kept"); err != nil {
		t.Error("a link was followed")
	}
	if err := removed(t, dir, true); err != nil {
		t.Error(err)
	}
}

// TestRemoverStaysInItsTree takes each step of a removal after the sandbox has
// changed what it is about.
func TestRemoverStaysInItsTree(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"top/a/b", "elsewhere/b", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	parent, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	at := func(names ...string) *remover {
		r := &remover{call: newCall(), parent: int(parent.Fd()), top: "top"}
		from := r.parent
		for _, name := range names {
			if err := r.enter(from, name); err != nil {
				t.Fatal(err)
			}
			from = int(r.dir.Fd())
		}
		t.Cleanup(func() { r.dir.Close() })
		return r
	}
	r := at("top", "a")
	if err := os.Symlink(dir+"/outside", dir+"/top/a/link"); err != nil {
		t.Fatal(err)
	}
	if err := r.enter(int(r.dir.Fd()), "link"); err != nil || len(r.levels) != 2 {
		t.Errorf("a link was entered: %d levels, %v", len(r.levels), err)
	}
	r = at("top", "a", "b")
	if err := os.Remove(dir + "/elsewhere/b"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/top/a/b", dir+"/elsewhere/b"); err != nil {
		t.Fatal(err)
	}
	if err := r.leave(); !errors.Is(err, errMoved) {
		t.Errorf("left to another directory: %v", err)
	}
	if _, err := os.Stat(dir + "/elsewhere/b"); err != nil {
		t.Error("what was moved out is gone")
	}
}

func TestRemoveEndsWhenItIsCancelled(t *testing.T) {
	dir := t.TempDir() + "/d"
	if err := os.MkdirAll(dir+"/e", 0o755); err != nil {
		t.Fatal(err)
	}
	var calls longCalls
	c, err := calls.begin(1, make(chan struct{}, 1))
	if err != nil {
		t.Fatal(err)
	}
	calls.cancel(1)
	calls.cancel(1)
	if r := remove(&Remove{ID: 1, Path: dir, Recursive: true}, c); r.Errno != uint32(unix.ECANCELED) {
		t.Errorf("errno is %d", r.Errno)
	}
}

func TestLongCallsAreBounded(t *testing.T) {
	var calls longCalls
	for id := range uint32(MaxLong) {
		if _, err := calls.begin(id, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := calls.begin(MaxLong, nil); !errors.Is(err, unix.EUSERS) {
		t.Errorf("error is %v", err)
	}
	calls.end(0)
	if _, err := calls.begin(MaxLong, nil); err != nil {
		t.Error(err)
	}
}
