//go:build root

package native

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func TestFiles(t *testing.T) {
	b := newBox(t)
	b.file("a.txt", "hello")
	b.file("d/e/f.txt", "deep")
	i := b.start(policy.Plan{Writable: []string{"/"}}, runtime.Limits{})
	f, err := i.Open(t.Context(), "/workspace/a.txt", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := io.ReadAll(f); string(out) != "hello" {
		t.Errorf("read %q", out)
	}
	f.Close()
	if _, err := i.Open(t.Context(), "/workspace/nope", os.O_RDONLY, 0); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Open(nope) = %v, want ENOENT", err)
	}
	if err := i.MakeDirs(t.Context(), "/workspace/x/y", 0o755); err != nil {
		t.Error(err)
	}
	if err := i.MakeDirs(t.Context(), "/nope", 0o755); !errors.Is(err, unix.EROFS) {
		t.Errorf("MakeDirs(/nope) = %v, want EROFS", err)
	}
	entries, err := i.List(t.Context(), "/workspace", true)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, e.Path)
	}
	if got, want := strings.Join(paths, " "), "a.txt d d/e d/e/f.txt x x/y"; got != want {
		t.Errorf("List() = %q, want %q", got, want)
	}
}

// links makes the links of one long target by hard links, which take no room.
const links = `import os
os.mkdir("/tmp/l")
os.chdir("/tmp/l")
os.symlink("x" * 4000, "first")
for n in range(17000):
    os.link("first", str(n), follow_symlinks=False)
`

func TestListingsAreBounded(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	if out, status := run(t, i, "exec python3 -c '"+links+"'", 0); status.Code != 0 {
		t.Fatal(out)
	}
	if _, err := i.List(t.Context(), "/tmp", true); !errors.Is(err, runtime.ErrListing) {
		t.Errorf("List() = %v, want %v", err, runtime.ErrListing)
	}
	if entries, err := i.List(t.Context(), "/workspace", true); err != nil || len(entries) != 1 {
		t.Errorf("afterwards List() = %v, %v", entries, err)
	}
}
