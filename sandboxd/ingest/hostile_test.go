package ingest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func command(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// hammer runs fn over and over until the test is done with it.
func hammer(fn func()) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				fn()
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// TestSwappedDirectoryLeadsNowhere exchanges a directory with a link to
// another one while the walk is on. What lies behind the link must never get
// in.
func TestSwappedDirectoryLeadsNowhere(t *testing.T) {
	in, root, outside := New(openStore(t)), t.TempDir(), t.TempDir()
	makeTree(t, outside, "passwd", "deep/passwd")
	makeTree(t, root, "d/deep/ok", "link -> "+outside, "file", "flink -> "+filepath.Join(outside, "passwd"))
	swap := func(a, b string) {
		_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(root, a), unix.AT_FDCWD, filepath.Join(root, b), unix.RENAME_EXCHANGE)
	}
	stop := hammer(func() { swap("d", "link"); swap("file", "flink"); time.Sleep(50 * time.Microsecond) })
	defer stop()
	bad := tree.Sum([]byte("passwd"))
	deep := tree.Sum([]byte("deep/passwd"))
	for start := time.Now(); time.Since(start) < 3*time.Second; {
		result, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
		if errors.Is(err, ErrChanging) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for n := range tree.Node(result.Snapshot.Tree().Len()) {
			if e := result.Snapshot.Tree().Entry(n); e.Name == "passwd" || e.Digest == bad || e.Digest == deep {
				t.Fatalf("%q came in from outside", result.Snapshot.Tree().Path(n))
			}
		}
		result.Snapshot.Close()
	}
}

// TestNothingIsTorn reads files that a writer fills with one letter at a time.
func TestNothingIsTorn(t *testing.T) {
	s := openStore(t)
	in, root := New(s), t.TempDir()
	path := filepath.Join(root, "f")
	const size = 300_000
	letter := byte('a')
	write := func() {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Error(err)
			return
		}
		data := bytes.Repeat([]byte{letter}, size)
		for i := 0; i < size; i += 50_000 {
			if _, err := f.WriteAt(data[i:i+50_000], int64(i)); err != nil {
				t.Error(err)
			}
		}
		f.Close()
		if letter++; letter > 'z' {
			letter = 'a'
		}
		time.Sleep(60 * time.Millisecond)
	}
	write()
	stop := hammer(write)
	defer stop()
	good := 0
	for range 8 {
		result, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
		if errors.Is(err, ErrChanging) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		good++
		f, err := s.OpenObject(result.Snapshot.Tree().Entry(1).Digest)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size)
		n, _ := f.Read(data)
		f.Close()
		if n != size || bytes.Count(data, data[:1]) != size {
			t.Fatalf("torn: %d bytes, %d of them %q", n, bytes.Count(data, data[:1]), data[:1])
		}
		result.Snapshot.Close()
	}
	if good == 0 {
		t.Error("never found the file at rest")
	}
}

func TestRestlessFileIsAnError(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "ok", "d/log")
	in.rest = func(st *unix.Stat_t, _ time.Time) time.Duration {
		if st.Size == int64(len("d/log")) {
			return 100 * time.Millisecond
		}
		return 0
	}
	_, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
	var at *PathError
	if !errors.Is(err, ErrChanging) || !errors.As(err, &at) || at.Path != "d/log" {
		t.Errorf("Directory = %v", err)
	}
}

// TestGrowingFileIsNotTaken reads a file that is longer each time.
func TestGrowingFileIsNotTaken(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "log")
	path := filepath.Join(root, "log")
	in.rest = func(*unix.Stat_t, time.Time) time.Duration { return 0 }
	stop := hammer(func() {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, _ = f.Write(make([]byte, 200_000))
			f.Close()
		}
		if info, err := os.Stat(path); err == nil && info.Size() > 200<<20 {
			_ = os.Truncate(path, 0)
		}
	})
	defer stop()
	result, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
	if err == nil {
		result.Snapshot.Close() // it was caught at rest
	} else if !errors.Is(err, ErrChanging) {
		t.Errorf("Directory = %v", err)
	}
}

func TestDisappearingEntriesAreNoError(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "keep")
	stop := hammer(func() {
		path := filepath.Join(root, "d")
		_ = os.MkdirAll(filepath.Join(path, "e"), 0o755)
		_ = os.WriteFile(filepath.Join(path, "f"), nil, 0o644)
		_ = os.Symlink("x", filepath.Join(path, "l"))
		_ = os.RemoveAll(path)
	})
	defer stop()
	for range 100 {
		result, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := result.Snapshot.Tree().Lookup("keep"); !ok {
			t.Error("keep is gone")
		}
		result.Snapshot.Close()
	}
}

func TestCancelledIngestLeavesNothing(t *testing.T) {
	s := openStore(t)
	in, root := New(s), t.TempDir()
	f, err := os.Create(filepath.Join(root, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
		t.Fatal(err)
	}
	makeTree(t, root, "a", "b/c")
	age(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	seen := int64(0)
	_, err = in.Directory(ctx, Request{Caller: self(), Dir: root}, func(p Progress) { seen = p.BytesRead })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Directory = %v (progress %d)", err, seen)
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("cancelling took %v", took)
	}
	r, err := s.Fsck(context.Background(), false)
	if err != nil || !r.Clean() || r.Objects != 0 || r.Trees != 1 {
		t.Errorf("Fsck = %+v, %v", r, err)
	}
}

func TestProgressIsReported(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "a")
	waited := false
	in.rest = func(st *unix.Stat_t, _ time.Time) time.Duration {
		if wait := !waited && st.Size == 1; wait {
			waited = true
			return 3 * progressInterval
		}
		return 0
	}
	var seen []Progress
	result, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	defer result.Snapshot.Close()
	if len(seen) == 0 || seen[0].Files != 1 {
		t.Errorf("progress was %+v", seen)
	}
}

func TestNothingLeaksDescriptors(t *testing.T) {
	s := openStore(t)
	in, root := New(s), t.TempDir()
	for i := range 50 {
		makeTree(t, root, "d"+string(rune('A'+i))+"/f", "x"+string(rune('A'+i)))
	}
	makeTree(t, root, "locked")
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	run := func() {
		result, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
		if err == nil {
			result.Snapshot.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
		defer cancel()
		if result, err := in.Directory(ctx, Request{Caller: self(), Dir: root}, nil); err == nil {
			result.Snapshot.Close()
		}
	}
	run()
	before := count()
	for range 20 {
		run()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestUnreadableIsNamed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("as root nothing is unreadable; the root tests do this as another uid")
		return
	}
	in := New(openStore(t))
	for _, name := range []string{"f", "d/"} {
		root := t.TempDir()
		makeTree(t, root, "ok", name)
		path := filepath.Join(root, name)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		_, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
		var at *PathError
		if !errors.As(err, &at) || at.Path != strings.TrimSuffix(name, "/") || !errors.Is(err, syscall.EACCES) {
			t.Errorf("Directory with unreadable %q = %v", name, err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
