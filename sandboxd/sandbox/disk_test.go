package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func base(t *testing.T) *tree.Tree {
	t.Helper()
	b := tree.NewBuilder()
	for path, e := range map[string]tree.Entry{
		"src":      {Kind: tree.Dir, Mode: 0o750, MTime: 1e18},
		"src/deep": {Kind: tree.Dir, Mode: 0o700, MTime: 2e18},
		"file":     {Kind: tree.Symlink, Target: "src"},
	} {
		if err := b.Add(path, e); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := tree.Open(b.Build())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func openUpper(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestCreatedDirectoriesLookLikeTheSnapshot(t *testing.T) {
	dir := t.TempDir()
	created := []string{"/output", "/src/deep/new/x"}
	for range 2 { // a second start changes nothing
		if err := makeCreated(openUpper(t, dir), created, base(t), uint32(os.Getuid())); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"output": "755", "src": "750 1e+18", "src/deep": "700 2e+18", "src/deep/new": "755", "src/deep/new/x": "755",
		} {
			st, err := os.Stat(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%o", st.Mode().Perm())
			if strings.Contains(want, " ") {
				got += fmt.Sprintf(" %g", float64(st.ModTime().UnixNano()))
			}
			if got != want {
				t.Errorf("%s is %s, want %s", path, got, want)
			}
		}
	}
}

func TestCreatedDirectoriesFollowNoLink(t *testing.T) {
	for name, put := range map[string]func(string) error{
		"a link":   func(p string) error { return os.Symlink("/tmp", p) },
		"a file":   func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"a fifo":   func(p string) error { return unix.Mkfifo(p, 0o600) },
		"a socket": func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := put(filepath.Join(dir, "output")); err != nil {
				t.Fatal(err)
			}
			if err := makeCreated(openUpper(t, dir), []string{"/output/agentfense-test"}, base(t), uint32(os.Getuid())); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat("/tmp/agentfense-test"); err == nil {
				t.Error("a link was followed")
			}
		})
	}
}

func TestTrashTakesAnything(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"trash", "state"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	deepTree(t, filepath.Join(dir, "state"), 3000, outside)
	bin, from := openUpper(t, filepath.Join(dir, "trash")), openUpper(t, dir)
	tr := newTrash(bin, slog.New(slog.DiscardHandler))
	if err := tr.take(from, "state"); err != nil {
		t.Fatal(err)
	}
	if err := tr.clear(context.Background(), bin, 0); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "trash")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
}

// deepTree nests directories deeper than a path can say, with something in
// each.
func deepTree(t *testing.T, top string, depth int, link string) {
	t.Helper()
	at, err := unix.Open(top, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		name := "a directory with\na name"
		err := unix.Mkdirat(at, name, 0o700)
		if err == nil {
			err = unix.Symlinkat(link, at, "link")
		}
		if err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
}
