package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("STORE_TEST_CHILD"); dir != "" {
		writeUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

func openStore(t testing.TB) *Store {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "store"))
}

func reopen(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{UIDBase: 1000, UIDCount: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, b *Batch, content string) tree.Digest {
	t.Helper()
	d, n, err := b.Put(strings.NewReader(content))
	if err != nil || n != int64(len(content)) || d != tree.Sum([]byte(content)) {
		t.Fatalf("Put(%d bytes) = %v, %d, %v", len(content), d, n, err)
	}
	return d
}

// putTree commits a tree of files, given by path and content.
func putTree(t testing.TB, s *Store, files map[string]string) *Snapshot {
	t.Helper()
	b, err := s.Batch()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Abort()
	builder := tree.NewBuilder()
	for path, content := range files {
		e := tree.Entry{Kind: tree.File, Mode: 0o644, Size: int64(len(content)), Digest: put(t, b, content)}
		if err := builder.Add(path, e); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := b.PutTree(builder)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { snapshot.Close() })
	return snapshot
}

func content(t testing.TB, s *Store, d tree.Digest) string {
	t.Helper()
	f, err := s.OpenObject(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func check(t testing.TB, s *Store) Report {
	t.Helper()
	r, err := s.Fsck(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantClean(t testing.TB, s *Store) {
	t.Helper()
	if r := check(t, s); !r.Clean() {
		t.Errorf("Fsck = %+v", r.Problems)
	}
	entries, err := os.ReadDir(filepath.Join(s.path, "tmp"))
	if err != nil || len(entries) != 0 {
		t.Errorf("tmp holds %v, %v", entries, err)
	}
}

func TestOpenOnceOnly(t *testing.T) {
	s := openStore(t)
	if _, err := Open(s.path, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), s.path) {
		t.Errorf("second Open = %v, want ErrLocked with the path", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	reopen(t, s.path)
}

func TestOpenNeedsTheParent(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "store"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open = %v", err)
	}
}

func TestPutStoresOnceWhateverTheSize(t *testing.T) {
	s := openStore(t)
	for name, size := range map[string]int{
		"empty": 0, "one byte": 1, "just small": smallSize - 1, "just large": smallSize, "many buffers": 3*copySize + 7,
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("x", size)
			for range 2 {
				b, _ := s.Batch()
				d := put(t, b, text)
				put(t, b, text)
				if err := b.Commit(); err != nil {
					t.Fatal(err)
				}
				if got := content(t, s, d); got != text {
					t.Errorf("object has %d bytes, want %d", len(got), size)
				}
				info, err := os.Stat(filepath.Join(s.path, "objects", ObjectPath(d)))
				if err != nil || info.Mode() != 0o440 || info.Sys().(*syscall.Stat_t).Nlink != 1 {
					t.Errorf("object is %v, %v", info, err)
				}
			}
		})
	}
	wantClean(t, s)
}

func TestDirectoriesCannotBeListedByTheGroup(t *testing.T) {
	s := openStore(t)
	for path, want := range map[string]os.FileMode{".": 0o700, "objects": 0o710, "objects/00": 0o710, "objects/ff": 0o710, "trees": 0o700} {
		info, err := os.Stat(filepath.Join(s.path, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	s := openStore(t)
	b, _ := s.Batch()
	d := put(t, b, "x")
	big := put(t, b, strings.Repeat("x", 100_000))
	builder := tree.NewBuilder()
	if err := builder.Add("x", tree.Entry{Kind: tree.File, Size: 1, Digest: d}); err != nil {
		t.Fatal(err)
	}
	snapshot, err := b.PutTree(builder)
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	if _, err := s.Snapshot(snapshot.Digest()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Snapshot before Commit = %v", err)
	}
	if err := b.Abort(); err != nil {
		t.Error(err)
	}
	if s.Has(d) || s.Has(big) {
		t.Error("content is there after Abort")
	}
	if _, _, err := b.Put(strings.NewReader("y")); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Abort = %v", err)
	}
	if err := b.Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit after Abort = %v", err)
	}
	wantClean(t, s)
}

func TestFailedReadsAndChecksLeaveNothing(t *testing.T) {
	s := openStore(t)
	broken := errors.New("broken")
	for _, size := range []int{1, 100_000} {
		cut := io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(io.ErrUnexpectedEOF))
		c, _ := s.Batch()
		if _, _, err := c.Put(cut); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Put of %d bytes cut short = %v", size, err)
		}
		if err := c.Abort(); err != nil {
			t.Error(err)
		}
		b, _ := s.Batch()
		text := strings.Repeat("x", size)
		if _, _, err := b.Put(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("Put = %v", err)
		}
		_, _, err := b.PutChecked(strings.NewReader(text), func(n int64) error {
			if n != int64(size) {
				t.Errorf("check(%d), want %d", n, size)
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Errorf("PutChecked = %v", err)
		}
		if err := b.Commit(); err != nil {
			t.Error(err)
		}
		if s.Has(tree.Sum([]byte(text))) {
			t.Error("refused content was stored")
		}
	}
	wantClean(t, s)
}

func TestPutTreeRefusesWhatTheStoreLacks(t *testing.T) {
	s := openStore(t)
	old := putTree(t, s, map[string]string{"held": "held"})
	held := tree.Sum([]byte("held"))
	for name, e := range map[string]tree.Entry{
		"missing content":  {Kind: tree.File, Size: 1, Digest: tree.Sum([]byte("y"))},
		"no digest":        {Kind: tree.File},
		"a different size": {Kind: tree.File, Size: 5, Digest: held},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := s.Batch()
			defer b.Abort()
			b.Trust(old)
			builder := tree.NewBuilder()
			if err := builder.Add("a/b", e); err != nil {
				t.Fatal(err)
			}
			var missing *MissingObjectError
			if _, err := b.PutTree(builder); !errors.As(err, &missing) || missing.Path != "/a/b" || !errors.Is(err, ErrNotFound) {
				t.Errorf("PutTree = %v", err)
			}
		})
	}
}

func TestTwoBatchesWithTheSameTree(t *testing.T) {
	s := openStore(t)
	file := map[string]string{"f": "x"}
	a, _ := s.Batch()
	builder := tree.NewBuilder()
	d := put(t, a, "x")
	if err := builder.Add("f", tree.Entry{Kind: tree.File, Mode: 0o644, Size: 1, Digest: d}); err != nil {
		t.Fatal(err)
	}
	first, err := a.PutTree(builder)
	if err != nil {
		t.Fatal(err)
	}
	second := putTree(t, s, file)
	if err := a.Abort(); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if first.Digest() != second.Digest() || content(t, s, d) != "x" {
		t.Error("the second batch relied on the first")
	}
	if _, err := os.Stat(filepath.Join(s.path, "trees", second.Digest().String())); err != nil {
		t.Error(err)
	}
	wantClean(t, s)
}

func TestSnapshotsShareAndOutliveClose(t *testing.T) {
	s := openStore(t)
	one := putTree(t, s, map[string]string{"a": "x"})
	two, err := s.Snapshot(one.Digest())
	if err != nil || two.Tree() != one.Tree() {
		t.Fatalf("Snapshot = %v, shared %v", err, two.Tree() == one.Tree())
	}
	three := two.Clone()
	one.Close()
	one.Close()
	two.Close()
	data := make([]byte, len(three.Tree().Data()))
	if _, err := three.File().ReadAt(data, 0); err != nil || !bytes.Equal(data, three.Tree().Data()) {
		t.Errorf("File does not hold the tree: %v", err)
	}
	name := three.Tree().Name(1)
	three.Close()
	if name != "a" || len(s.snapshots) != 0 {
		t.Errorf("name %q, %d snapshots open", name, len(s.snapshots))
	}
	if _, err := s.Snapshot(tree.Sum(nil)); !errors.Is(err, ErrNotFound) {
		t.Errorf("Snapshot of nothing = %v", err)
	}
}

func TestSandboxUIDsAreStableAndDistinct(t *testing.T) {
	s := openStore(t)
	got := map[uint32]uint32{}
	for _, owner := range []uint32{0, 5, 4294967294} {
		uid, err := s.SandboxUID(owner)
		if err != nil || uid < 1000 || uid > 1002 {
			t.Fatalf("SandboxUID(%d) = %d, %v", owner, uid, err)
		}
		for other, taken := range got {
			if taken == uid {
				t.Errorf("%d and %d share %d", owner, other, uid)
			}
		}
		got[owner] = uid
	}
	if _, err := s.SandboxUID(7); !errors.Is(err, ErrNoUID) {
		t.Errorf("SandboxUID of a fourth owner = %v", err)
	}
	s.Close()
	s = reopen(t, s.path)
	for owner, want := range got {
		if uid, err := s.SandboxUID(owner); uid != want || err != nil {
			t.Errorf("SandboxUID(%d) = %d, %v, want %d", owner, uid, err, want)
		}
	}
}

func TestCache(t *testing.T) {
	s := openStore(t)
	key := tree.Sum([]byte("key"))
	if _, err := s.ReadCache(key); !errors.Is(err, ErrNotFound) {
		t.Errorf("ReadCache = %v", err)
	}
	for _, want := range []string{"one", "two"} {
		if err := s.WriteCache(key, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadCache(key); string(got) != want || err != nil {
			t.Errorf("ReadCache = %q, %v", got, err)
		}
	}
	if _, err := s.Collect(context.Background(), -1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadCache(key); !errors.Is(err, ErrNotFound) {
		t.Errorf("ReadCache after Collect = %v", err)
	}
	wantClean(t, s)
}
