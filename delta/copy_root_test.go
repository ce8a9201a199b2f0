//go:build root

package delta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
)

// listing describes a tree in all that a copy keeps.
func listing(t *testing.T, dir string) string {
	t.Helper()
	c := exec.Command("bash", "-c", `
find . ! -type c -printf '%P %M %U:%G %T@ %l\n' | sort
find . -type c -printf '%P %M\n' | sort
find . -type f -printf '%P %n %s\n' | sort
stat -c '%n %b' sparse hole
find . \( -type d -o -type f \) -print0 | sort -z | python3 -c '
import os, sys
for p in sys.stdin.buffer.read().split(b"\0")[:-1]:
    for n in sorted(os.listxattr(p)) if os.path.lexists(p) else []:
        if n.startswith("user.") or n == "trusted.overlay.opaque": print(p, n, os.getxattr(p, n))'
find . -type f -print0 | sort -z | xargs -0 sha256sum`)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func subdir(t *testing.T, name string) (string, *os.File) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return dir, f
}

const changeAll = `
echo new > a; rm d/b; rm -r gone; mkdir gone; echo y > gone/y; rm -r secrets
mkdir -p n/m; chmod 2750 n; chmod 1777 n/m; printf '#!/bin/sh\n' > n/run; chmod 4755 n/run
ln n/run n/m/again; ln n/run hard; ln -s ../../nowhere n/link; mkfifo -m 640 n/fifo
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("n/sock")'
truncate -s 100M sparse; printf end >> sparse; printf x | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
truncate -s 10M hole; : > empty; touch $'n/\xff\n'; touch -d 1999-01-01 n/m/again n/m n
python3 -c 'import os; os.setxattr("a", "user.mine", b"value"); os.setxattr("n", "user.dir", b"v" * 20)'`

func TestCopyKeepsWhatASandboxCanMake(t *testing.T) {
	m := overlay(t, fillSmall(t))
	m.shell(strings.ReplaceAll(changeAll, "\n", "; ")[1:])
	if err := os.Chown(m.upper.Name(), 0, 0); err != nil {
		t.Fatal(err)
	}
	dir, to := subdir(t, "copy")
	rested, err := Copy(context.Background(), m.upper, to, 0)
	if err != nil || !rested {
		t.Fatalf("rested is %v, %v", rested, err)
	}
	if got, want := listing(t, dir), listing(t, m.upper.Name()); got != want {
		t.Errorf("the copy is\n%s\nwant\n%s", got, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(m.merged + "/a"); string(data) != "new\n" {
		t.Errorf("the source has %q", data)
	}
}

func TestCopyGivesFilesTheirNewOwner(t *testing.T) {
	m := overlay(t, fillSmall(t))
	m.shell("mkdir n; touch n/x; ln -s x n/l; mkfifo n/p; rm a; chmod 4755 n/x")
	dir, to := subdir(t, "copy")
	if _, err := Copy(context.Background(), m.upper, to, 12345); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"n", "n/x", "n/l", "n/p", "."} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil || st.Uid != 12345 || st.Gid != 12345 {
			t.Errorf("%s belongs to %d:%d, %v", name, st.Uid, st.Gid, err)
		}
		if name == "n/x" && st.Mode&0o7777 != 0o4755 {
			t.Errorf("mode is %o", st.Mode)
		}
	}
}

func TestLinkLeavesPathsOut(t *testing.T) {
	m := overlay(t, fillSmall(t))
	m.shell(strings.ReplaceAll(changeAll, "\n", "; ")[1:])
	dir, to := subdir(t, "link")
	if err := Link(context.Background(), m.upper, to, 0, []string{"/n", "/a", "/secrets"}); err != nil {
		t.Fatal(err)
	}
	got, err := Diff(to, m.base, compile(t, "**/*=write"), policy.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got {
		if c.Path == "/a" || strings.HasPrefix(c.Path, "/n") || strings.HasPrefix(c.Path, "/secrets") {
			t.Errorf("%v %s is still there", c.Op, c.Path)
		}
	}
	if len(got) != 7 {
		t.Errorf("left are %v", got)
	}
	var a, b unix.Stat_t
	if unix.Stat(dir+"/sparse", &a) != nil || unix.Stat(m.upper.Name()+"/sparse", &b) != nil || a.Ino != b.Ino {
		t.Error("a file was copied, not linked")
	}
}

// TestCopyOfATreeThatMoves copies while directories become links to what lies
// outside.
func TestCopyOfATreeThatMoves(t *testing.T) {
	outside, _ := subdir(t, "outside")
	if err := os.WriteFile(outside+"/secret", []byte("host's secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	upper, from := subdir(t, "upper")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.MkdirAll(upper+"/d/e", 0o755)
			_ = os.WriteFile(upper+"/d/e/secret", []byte("own"), 0o644)
			_ = os.WriteFile(upper+fmt.Sprintf("/d/e/%d", i%7), make([]byte, i%5000), 0o644)
			_ = os.Rename(upper+"/d/e", upper+"/aside")
			_ = os.Symlink(outside, upper+"/d/e")
			_ = os.Remove(upper + "/d/e")
			_ = os.Rename(upper+"/aside", upper+"/d/e")
			_ = os.Remove(upper + "/d/e/secret")
			_ = os.Symlink(outside+"/secret", upper+"/d/e/secret")
			_ = os.Remove(upper + "/d/e/secret")
		}
	})
	defer wg.Wait()
	defer close(stop)
	moved := 0
	for range 200 {
		dir, to := subdir(t, "copy")
		rested, err := Copy(context.Background(), from, to, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !rested {
			moved++
		}
		if data, err := os.ReadFile(dir + "/d/e/secret"); err == nil && string(data) == "host's secret" {
			if fi, _ := os.Lstat(dir + "/d/e"); fi.Mode()&os.ModeSymlink == 0 {
				if fi, _ := os.Lstat(dir + "/d/e/secret"); fi.Mode()&os.ModeSymlink == 0 {
					t.Fatal("the copy followed a link")
				}
			}
		}
	}
	if moved == 0 {
		t.Error("no copy noticed that the tree moves")
	}
}

func TestCopyRefusesPathsThatNothingCanUse(t *testing.T) {
	upper, from := subdir(t, "upper")
	at, err := unix.Open(upper, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		name := strings.Repeat("d", 200)
		if err := unix.Mkdirat(at, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, name, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	_, to := subdir(t, "copy")
	if _, err := Copy(context.Background(), from, to, 0); !errors.Is(err, ErrTooDeep) {
		t.Errorf("error is %v", err)
	}
}
