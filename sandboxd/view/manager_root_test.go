//go:build root

package view

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// soon is longer than anything here takes.
const soon = 20 * time.Second

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(soon):
		t.Fatalf("%s did not happen", what)
	}
}

func TestAcquireSharesOneView(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	digest, p := w.snapshot(), compile(t, "**/*=read")
	views := make([]*View, 20)
	var wg sync.WaitGroup
	for n := range views {
		wg.Go(func() { views[n] = w.acquire(Key{digest, p, sandboxID}) })
	}
	wg.Wait()
	for _, v := range views {
		if v.of != views[0].of || v.Path() != views[0].Path() {
			t.Errorf("views are at %q and %q", v.Path(), views[0].Path())
		}
	}
	for name, key := range map[string]Key{
		"other owner":  {digest, p, sandboxID + 1},
		"other policy": {digest, compile(t, "**/*=view"), sandboxID},
	} {
		if v := w.acquire(key); v.Path() == views[0].Path() {
			t.Errorf("%s shares the view", name)
		}
	}
	if same := w.acquire(Key{digest, compile(t, "**/*=read"), sandboxID}); same.Path() != views[0].Path() {
		t.Error("an equal policy gets a view of its own")
	}
	if n := len(children()); n != 3 {
		t.Errorf("%d processes serve 3 views", n)
	}
}

func TestKilledViewFailsAndIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	key := Key{w.snapshot(), compile(t, "**/*=read"), sandboxID}
	v := w.acquire(key)
	dir, err := os.Open(v.Path()) // keeps the mount, as a sandbox does
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := syscall.Kill(v.of.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, v.Done(), "the end of the view")
	if _, err := unix.Openat(int(dir.Fd()), "f", unix.O_RDONLY, 0); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("open below a dead view: %v, want ENOTCONN", err)
	}
	again := w.acquire(key)
	if got, err := os.ReadFile(filepath.Join(again.Path(), "f")); string(got) != "content" || err != nil {
		t.Errorf("read from the replacement: %q, %v", got, err)
	}
	v.Release()
	v.Release()
	if _, err := os.Stat(filepath.Join(again.Path(), "f")); err != nil {
		t.Errorf("releasing the dead view hurts the replacement: %v", err)
	}
}

func TestHungViewIsKilled(t *testing.T) {
	w := newWorld(t)
	w.manager.timing.ping, w.manager.timing.pong = 20*time.Millisecond, 100*time.Millisecond
	w.file("/f", "content", 0o644)
	v := w.view("**/*=read")
	if err := syscall.Kill(v.of.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if _, err := os.ReadFile(filepath.Join(v.Path(), "f")); err == nil {
			t.Error("a stopped view answers")
		}
	}()
	wait(t, v.Done(), "the end of the hung view")
	wait(t, answered, "an answer for who waited")
}

func TestIdleViewEnds(t *testing.T) {
	w := newWorld(t)
	w.manager.cfg.Idle = 100 * time.Millisecond
	w.file("/f", "content", 0o644)
	key := Key{w.snapshot(), compile(t, "**/*=read"), sandboxID}
	v := w.acquire(key)
	v.Release()
	again := w.acquire(key)
	if again.of != v.of {
		t.Error("a released view is not kept warm")
	}
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(again.Path(), "f")); err != nil {
		t.Errorf("a view in use ended: %v", err)
	}
	pid := again.of.pid
	again.Release()
	wait(t, again.Done(), "the end of the idle view")
	if alive(pid) {
		t.Error("the process of an idle view lives")
	}
	other := w.acquire(key)
	if other.of == v.of {
		t.Error("an ended view is handed out")
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	key := Key{w.snapshot(), compile(t, "**/*=read"), sandboxID}
	if _, err := w.manager.Acquire(t.Context(), Key{tree.Digest{1}, key.Policy, sandboxID}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Acquire of an unknown snapshot: %v", err)
	}
	wrong, err := os.Open("/bin/false")
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	w.manager.cfg.Binary = wrong
	if _, err := w.manager.Acquire(t.Context(), key); err == nil {
		t.Error("Acquire succeeds with a wrong program")
	}
	w.manager.cfg.Binary, w.manager.cfg.UID = program, 0
	if _, err := w.manager.Acquire(t.Context(), key); err == nil || !strings.Contains(err.Error(), "does not run as root") {
		t.Errorf("Acquire for root: %v", err)
	}
	if names, _ := os.ReadDir(w.manager.cfg.Dir); len(names) > 0 {
		t.Errorf("mount points are left: %v", names)
	}
	if left := leftovers(); left != "" {
		t.Error(left)
	}
	w.manager.cfg.UID = viewID
	w.acquire(key)
}

func TestCallerGivesUp(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	key := Key{w.snapshot(), compile(t, "**/*=read"), sandboxID}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := w.manager.Acquire(ctx, key); err == nil {
		v.Release() // was fast enough
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire: %v", err)
	}
	w.acquire(key)
}

func TestCloseEndsViewsInUse(t *testing.T) {
	w := newWorld(t)
	w.manager.timing.grace = 100 * time.Millisecond
	w.file("/f", "content", 0o644)
	key := Key{w.snapshot(), compile(t, "**/*=read"), sandboxID}
	v := w.acquire(key)
	dir, err := os.Open(v.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := w.manager.Close(); err != nil {
		t.Error(err)
	}
	wait(t, v.Done(), "the end of the view")
	if _, err := w.manager.Acquire(t.Context(), key); !errors.Is(err, ErrClosed) {
		t.Errorf("Acquire after Close: %v", err)
	}
	v.Release()
}

func TestCyclesLeakNothing(t *testing.T) {
	w := newWorld(t)
	w.manager.cfg.Idle = 0
	w.file("/f", "content", 0o644)
	key := Key{w.snapshot(), compile(t, "**/*=read"), sandboxID}
	before := 0
	for cycle := range 15 {
		v := w.acquire(key)
		if cycle%3 == 0 {
			_ = syscall.Kill(v.of.pid, syscall.SIGKILL)
		}
		v.Release()
		wait(t, v.Done(), "the end of the view")
		for deadline := time.Now().Add(soon); len(children()) > 0 || len(w.mountPoints()) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("left: %v, %v", children(), w.mountPoints())
			}
		}
		if cycle == 5 {
			before = descriptors(t)
		}
	}
	if now := descriptors(t); now > before+1 { // one may be on its way
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}

func (w *world) mountPoints() []os.DirEntry {
	entries, _ := os.ReadDir(w.manager.cfg.Dir)
	return entries
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestViewOutlivesItsManager kills a process with a manager while something
// holds the mount.
func TestViewOutlivesItsManager(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperManager$")
	// It does not live to remove its files, so they lie with ours.
	cmd.Env = append(os.Environ(), "AGENTFENSE_TEST_HELPER=1", "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var path string
	if _, err := fmt.Sscan(line, &pid, &path); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	dir, err := os.Open(fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	time.Sleep(100 * time.Millisecond)
	fd, err := unix.Openat(int(dir.Fd()), "f", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatalf("the view ended with its manager: %v", err)
	}
	buf := make([]byte, 100)
	if n, err := unix.Read(fd, buf); string(buf[:max(n, 0)]) != "content" {
		t.Errorf("read = %q, %v", buf[:max(n, 0)], err)
	}
	unix.Close(fd)
	dir.Close()
	for deadline := time.Now().Add(soon); alive(pid) && !zombie(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the view process lives though nothing is mounted")
		}
	}
}

// zombie reports whether a process has ended and nobody has noticed.
func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(data), ") Z ")
}

func TestHelperManager(t *testing.T) {
	if os.Getenv("AGENTFENSE_TEST_HELPER") == "" {
		return // not a test
	}
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	v := w.view("**/*=read")
	fmt.Println(v.of.pid, v.Path())
	select {}
}
