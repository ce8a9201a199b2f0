package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestRefusals(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "d/f", "l -> d")
	var st syscall.Stat_t
	if err := syscall.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	magic, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer magic.Close()
	for name, tt := range map[string]struct {
		req  Request
		want error
	}{
		"relative path":  {Request{Dir: "x"}, ErrInvalid},
		"no path":        {Request{}, ErrInvalid},
		"nothing there":  {Request{Dir: root + "/nope"}, syscall.ENOENT},
		"a file":         {Request{Dir: root + "/d/f"}, syscall.ENOTDIR},
		"NUL":            {Request{Dir: root + "\x00"}, syscall.EINVAL},
		"huge pattern":   {Request{Dir: root, Ignore: []string{strings.Repeat("x", 5000)}}, ErrInvalid},
		"another inode":  {Request{Dir: root, Device: st.Dev, Inode: st.Ino + 1}, ErrDirectoryMismatch},
		"another device": {Request{Dir: root, Device: st.Dev + 1, Inode: st.Ino}, ErrDirectoryMismatch},
		"a magic link":   {Request{Dir: fmt.Sprintf("/proc/self/fd/%d", magic.Fd())}, syscall.ELOOP},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.Caller = self()
			if _, err := in.Directory(context.Background(), tt.req, nil); !errors.Is(err, tt.want) {
				t.Errorf("Directory(%+v) = %v, want %v", tt.req, err, tt.want)
			}
		})
	}
	ingest(t, in, Request{Dir: root, Device: st.Dev, Inode: st.Ino})
	ingest(t, in, Request{Dir: root + "/l"})
}

func TestLongPathsAreCounted(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	name := strings.Repeat("x", 250)
	fd, err := syscall.Open(root, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 17 {
		if err := syscall.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := syscall.Openat(fd, name, syscall.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Close(fd)
		fd = next
	}
	syscall.Close(fd)
	defer command(t, "rm", "-rf", root)
	result := ingest(t, in, Request{Dir: root})
	if result.Dirs != 16 || len(result.Skipped) != 1 || result.Skipped[0].Reason != NameTooLong || result.Skipped[0].Count != 1 {
		t.Errorf("%d directories, skipped %.200s", result.Dirs, skipped(result))
	}
}
