//go:build root

package view

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const (
	viewID    = 61_234  // uid and gid of view processes
	sandboxID = 261_234 // owner of the entries
	inside    = "AGENTFENSE_TEST_INSIDE"
)

// program is agentfense-view, in sealed memory as the daemon has it.
var program *os.File

// TestMain runs the tests in a mount namespace of their own, so that nothing
// they mount outlives them, and proves afterwards that nothing is left.
func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(enterNamespace())
	}
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	program.Close()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if left := leftovers(); left != "" && code == 0 {
		fmt.Fprintln(os.Stderr, left)
		code = 1
	}
	os.Exit(code)
}

func enterNamespace() int {
	dir, err := os.MkdirTemp("", "agentfense-view-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// build makes the binary in a directory that enterNamespace removes.
func build() error {
	path := filepath.Join(os.Getenv(inside), "agentfense-view")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/agentfense/agentfense/cmd/agentfense-view")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build agentfense-view: %w\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("agentfense-view", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	program = os.NewFile(uintptr(fd), "agentfense-view")
	if _, err := program.Write(data); err != nil {
		return err
	}
	_, err = unix.FcntlInt(program.Fd(), unix.F_ADD_SEALS,
		unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	return err
}

// leftovers names the mounts and processes that tests left behind.
func leftovers() string {
	var left []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " - fuse ") || strings.Contains(line, " - overlay ") && strings.Contains(line, os.TempDir()) {
			left = append(left, "mount: "+line)
		}
	}
	for _, pid := range children() {
		left = append(left, "process: "+pid)
	}
	return strings.Join(left, "\n")
}

// children returns the processes that this one has started and that live.
func children() []string {
	var all []string
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		if pids, err := os.ReadFile(task); err == nil {
			all = append(all, strings.Fields(string(pids))...)
		}
	}
	return all
}

// world is a store, a manager over it, and a snapshot that grows.
type world struct {
	t       *testing.T
	dir     string
	store   *store.Store
	batch   *store.Batch
	builder *tree.Builder
	manager *Manager
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), builder: tree.NewBuilder()}
	if err := os.Chmod(filepath.Dir(w.dir), 0o711); err != nil { // the sandbox's user passes
		t.Fatal(err)
	}
	var err error
	if w.store, err = store.Open(filepath.Join(w.dir, "store"), store.Options{ViewGID: viewID}); err != nil {
		t.Fatal(err)
	}
	if w.batch, err = w.store.Batch(); err != nil {
		t.Fatal(err)
	}
	w.manager = NewManager(Config{
		Binary: program, Dir: filepath.Join(w.dir, "views"), Store: w.store,
		UID: viewID, GID: viewID, Idle: time.Hour,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	if err := w.manager.Close(); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	if names, err := os.ReadDir(filepath.Join(w.dir, "views")); err == nil && len(names) > 0 {
		w.t.Errorf("mount points are left: %v", names)
	}
	_ = w.batch.Abort()
	if err := w.store.Close(); err != nil {
		w.t.Errorf("store: %v", err)
	}
}

func (w *world) add(path string, e tree.Entry) {
	w.t.Helper()
	if e.MTime == 0 {
		e.MTime = 1_700_000_000_123_456_789
	}
	if err := w.builder.Add(path, e); err != nil {
		w.t.Fatalf("Add(%q): %v", path, err)
	}
}

func (w *world) file(path, content string, mode uint32) {
	w.t.Helper()
	d, size, err := w.batch.Put(strings.NewReader(content))
	if err != nil {
		w.t.Fatal(err)
	}
	w.add(path, tree.Entry{Kind: tree.File, Mode: mode, Size: size, Digest: d})
}

func (w *world) link(path, target string) {
	w.t.Helper()
	w.add(path, tree.Entry{Kind: tree.Symlink, Target: target})
}

// copy adds a directory of the host.
func (w *world) copy(from, to string) {
	w.t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := tree.Entry{Mode: uint32(info.Mode().Perm()), MTime: info.ModTime().UnixNano()}
		switch {
		case d.IsDir():
			e.Kind = tree.Dir
		case d.Type() == fs.ModeSymlink:
			e.Kind = tree.Symlink
			e.Target, err = os.Readlink(path)
		case d.Type().IsRegular():
			e.Kind = tree.File
			e.Digest, e.Size, err = w.put(path)
		}
		if err != nil {
			return err
		}
		return w.builder.Add(to+strings.TrimPrefix(path, from), e)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(path string) (tree.Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return tree.Digest{}, 0, err
	}
	defer f.Close()
	return w.batch.Put(f)
}

// snapshot commits what was added.
func (w *world) snapshot() tree.Digest {
	w.t.Helper()
	s, err := w.batch.PutTree(w.builder)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	if err := w.batch.Commit(); err != nil {
		w.t.Fatal(err)
	}
	if w.batch, err = w.store.Batch(); err != nil {
		w.t.Fatal(err)
	}
	return s.Digest()
}

// view returns a view of what was added.
func (w *world) view(rules ...string) *View {
	w.t.Helper()
	return w.acquire(Key{w.snapshot(), compile(w.t, rules...), sandboxID})
}

func (w *world) acquire(key Key) *View {
	w.t.Helper()
	v, err := w.manager.Acquire(w.t.Context(), key)
	if err != nil {
		w.t.Fatalf("Acquire: %v", err)
	}
	return v
}

func compile(t testing.TB, specs ...string) *policy.Policy {
	t.Helper()
	var rules []policy.Rule
	for _, spec := range specs {
		r, err := policy.ParseRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asSandbox prepares a command to run as the sandbox's user.
func asSandbox(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: sandboxID, Gid: sandboxID}}
	return cmd
}

func fileEntry(d tree.Digest, size int64) tree.Entry {
	return tree.Entry{Kind: tree.File, Mode: 0o644, Size: size, Digest: d}
}
