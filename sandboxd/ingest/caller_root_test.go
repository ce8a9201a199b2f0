//go:build root

package ingest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// alice is nobody on any machine.
var alice = Caller{UID: 3_141_592, GID: 3_141_593, Groups: []uint32{3_141_594}}

// aliceDir is a directory that alice can get to.
func aliceDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("root tests need root")
	}
	// t.TempDir lies below a directory that is closed to others.
	dir, err := os.MkdirTemp("", "ingest-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func own(t *testing.T, path string, uid, gid int, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.Lchown(path, uid, gid), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestReadsAsTheCaller(t *testing.T) {
	in := New(openStore(t))
	for name, tt := range map[string]struct {
		uid, gid int
		mode     os.FileMode
		ok       bool
	}{
		"her own file":               {int(alice.UID), 0, 0o400, true},
		"her own, closed to herself": {int(alice.UID), int(alice.GID), 0o044, false},
		"her group's":                {0, int(alice.GID), 0o040, true},
		"her other group's":          {0, int(alice.Groups[0]), 0o040, true},
		"everybody's":                {0, 0, 0o004, true},
		"root's":                     {0, 0, 0o600, false},
		"root's group's":             {0, 0, 0o640, false},
		"nobody's":                   {0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, isDir := range []bool{false, true} {
				root := aliceDir(t)
				path, mode := filepath.Join(root, "x"), tt.mode
				makeTree(t, root, "ok")
				if isDir {
					makeTree(t, root, "x/y")
					mode |= mode >> 2 & 0o111 // search where read
				} else {
					makeTree(t, root, "x")
				}
				own(t, path, tt.uid, tt.gid, mode)
				result, err := in.Directory(context.Background(), Request{Caller: alice, Dir: root}, nil)
				if err == nil {
					result.Snapshot.Close()
				}
				var at *PathError
				switch {
				case tt.ok && err != nil:
					t.Errorf("directory %v: %v", isDir, err)
				case !tt.ok && (!errors.As(err, &at) || at.Path != "x" || !errors.Is(err, syscall.EACCES)):
					t.Errorf("directory %v: %v, want EACCES at x", isDir, err)
				}
			}
		})
	}
}

func TestHiddenNeedNotBeReadable(t *testing.T) {
	in, root := New(openStore(t)), aliceDir(t)
	makeTree(t, root, "ok", "secrets/key", ".env", "build/x")
	for _, name := range []string{"secrets", ".env", "build"} {
		own(t, filepath.Join(root, name), 0, 0, 0)
	}
	p := rules(t, "**/*=read", "/secrets/**=none@1", "/.env=none@1")
	result, err := in.Directory(context.Background(), Request{Caller: alice, Dir: root, Policy: p, Ignore: []string{"build"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Snapshot.Close()
	if got := paths(result.Snapshot); !slices.Equal(got, []string{"ok"}) {
		t.Errorf("tree holds %q", got)
	}
	// With a second name somewhere unknown, a file may be one of the hidden.
	makeTree(t, root, "alias => ok")
	if err := os.Rename(filepath.Join(root, "alias"), filepath.Join(root, "secrets", "alias")); err != nil {
		t.Fatal(err)
	}
	blind, err := in.Directory(context.Background(), Request{Caller: alice, Dir: root, Policy: p, Ignore: []string{"build"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer blind.Snapshot.Close()
	if got := skipped(blind); !strings.Contains(got, `hard link to hidden 1 ["ok"]`) {
		t.Errorf("skipped %s", got)
	}
}

func TestTheWayToTheDirectoryIsTheCallers(t *testing.T) {
	in, root := New(openStore(t)), aliceDir(t)
	makeTree(t, root, "closed/in/f", "open/f", "link -> closed/in")
	own(t, filepath.Join(root, "closed"), 0, 0, 0o700)
	for _, dir := range []string{"closed", "closed/in", "link"} {
		if _, err := in.Directory(context.Background(), Request{Caller: alice, Dir: filepath.Join(root, dir)}, nil); !errors.Is(err, syscall.EACCES) {
			t.Errorf("Directory(%q) = %v, want EACCES", dir, err)
		}
	}
	// Only a process with CAP_SYS_PTRACE or init's own uid may look at this.
	for _, dir := range []string{"/proc/1/fd", "/proc/1/map_files", "/proc/1/task/1/fdinfo"} {
		if _, err := in.Directory(context.Background(), Request{Caller: alice, Dir: dir}, nil); !errors.Is(err, syscall.EACCES) {
			t.Errorf("Directory(%q) = %v, want EACCES", dir, err)
		}
	}
}

func TestTheThreadHasNothingElse(t *testing.T) {
	aliceDir(t)
	err := asCaller(alice, func() error {
		status, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			return err
		}
		for _, want := range []string{
			"Uid:\t0\t0\t0\t3141592\n", "Gid:\t0\t0\t0\t3141593\n", "Groups:\t3141594",
			"CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
		} {
			if !strings.Contains(string(status), want) {
				t.Errorf("thread lacks %q:\n%s", want, status)
			}
		}
		if fd, err := unix.Open("/etc/shadow", unix.O_RDONLY, 0); err == nil {
			unix.Close(fd)
			t.Error("the thread can read /etc/shadow")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// And nobody else has lost anything.
	for range 50 {
		done := make(chan error)
		go func() {
			f, err := os.Open("/etc/shadow")
			if err == nil {
				f.Close()
			}
			done <- err
		}()
		if err := <-done; err != nil {
			t.Fatalf("a thread of the daemon cannot read as root: %v", err)
		}
	}
	if err := asCaller(Caller{UID: ^uint32(0)}, func() error { return nil }); err == nil {
		t.Error("asCaller took uid -1")
	}
}

func TestMountPointsAreWalked(t *testing.T) {
	in, root := New(openStore(t)), aliceDir(t)
	makeTree(t, root, "m/", "a")
	mount := filepath.Join(root, "m")
	if err := unix.Mount("none", mount, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	makeTree(t, mount, "d/inside")
	for range 2 {
		result, err := in.Directory(context.Background(), Request{Caller: alice, Dir: root}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := paths(result.Snapshot); !slices.Equal(got, []string{"a", "m/", "m/d/", "m/d/inside"}) {
			t.Errorf("tree holds %q", got)
		}
		result.Snapshot.Close()
		age(t)
	}
}

func TestDevicesAreCounted(t *testing.T) {
	in, root := New(openStore(t)), aliceDir(t)
	makeTree(t, root, "a", "p |")
	if err := errors.Join(
		unix.Mknod(filepath.Join(root, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(filepath.Join(root, "disk"), unix.S_IFBLK|0o666, int(unix.Mkdev(7, 0))),
		unix.Mknod(filepath.Join(root, "sock"), unix.S_IFSOCK|0o666, 0),
	); err != nil {
		t.Fatal(err)
	}
	result, err := in.Directory(context.Background(), Request{Caller: alice, Dir: root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Snapshot.Close()
	if got := skipped(result); got != `special 4 ["disk" "null" "p" "sock"]` {
		t.Errorf("skipped %s", got)
	}
}
