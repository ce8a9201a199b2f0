package daemon

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSocketIsReadyWhenItAppears(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	s, err := newSocket(path, 0o666, uint32(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode() != os.ModeSocket|0o666 {
		t.Errorf("socket is %v, %v", st, err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := newSocket(path, 0o600, uint32(os.Getgid())); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a second socket: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestOnlyStaleSocketsAreReplaced(t *testing.T) {
	dir := t.TempDir()
	gid := uint32(os.Getgid())
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := newSocket(stale, 0o600, gid)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else takes the place: it is not ours to remove.
	if err := os.Remove(stale); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(stale); err != nil {
		t.Errorf("what is not ours was removed: %v", err)
	}
	if _, err := newSocket(stale, 0o600, gid); err == nil {
		t.Error("a file was replaced")
	}
}

func TestDirectoryHasOneDaemon(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockDir(dir)
	if want := fmt.Sprintf("another sandboxd (pid %d) uses %s", os.Getpid(), dir); !errors.Is(err, ErrInUse) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error is %v, want %s", err, want)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = lockDir(dir); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestMissingRightsAreAllNamed(t *testing.T) {
	if got := lacking(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_CHOWN); len(got) != len(capabilities)-2 || got[0] != "CAP_DAC_OVERRIDE" {
		t.Errorf("lacking: %v", got)
	}
	if got := lacking(^uint64(0)); len(got) != 0 {
		t.Errorf("lacking: %v", got)
	}
	e := &RightsError{Missing: []string{"root", "CAP_KILL"}}
	if got := e.Error(); got != "sandboxd lacks what it needs: root; CAP_KILL" {
		t.Errorf("error is %q", got)
	}
}

func TestSealedCopyCannotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := sealed(path, "program")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(path, []byte("evil"), 0o755); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(f); string(data) != "#!/bin/sh\n" || err != nil {
		t.Errorf("the copy is %q, %v", data, err)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err == nil {
		defer again.Close()
		if _, err := again.WriteString("x"); !errors.Is(err, unix.EPERM) {
			t.Errorf("writing to the copy: %v", err)
		}
	}
	for name, mode := range map[string]os.FileMode{"no program": 0o644, "a directory": os.ModeDir | 0o755} {
		path := filepath.Join(t.TempDir(), "x")
		if mode.IsDir() {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, nil, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sealed(path, "x"); err == nil {
			t.Errorf("%s was copied", name)
		}
	}
}

func TestMountPointsAreUnescaped(t *testing.T) {
	if got := unescape(`/a\040b\011c\012d\134e`); got != "/a b\tc\nd\\e" {
		t.Errorf("unescape is %q", got)
	}
}

func TestGroupID(t *testing.T) {
	for group, want := range map[string]uint32{"root": 0, "0": 0, "4242": 4242} {
		if got, err := groupID(group); got != want || err != nil {
			t.Errorf("groupID(%q) = %d, %v", group, got, err)
		}
	}
	if _, err := groupID("no such group"); err == nil {
		t.Error("an unknown group has an id")
	}
}

func TestNotifyReachesSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	notify("READY=1")
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if got := string(buf[:n]); got != "READY=1" || err != nil {
		t.Errorf("systemd got %q, %v", got, err)
	}
}

func TestPassedSocketIsForUsOnly(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	if l, err := passedListener(); l != nil || err != nil {
		t.Errorf("listener is %v, %v", l, err)
	}
	t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	t.Setenv("LISTEN_FDS", "2")
	if _, err := passedListener(); err == nil {
		t.Error("two sockets were taken")
	}
}
