package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func collect(t testing.TB, s *Store, age time.Duration) CollectResult {
	t.Helper()
	r, err := s.Collect(context.Background(), age)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCollectKeepsWhatIsNeeded(t *testing.T) {
	s := openStore(t)
	digest := func(text string) tree.Digest { return tree.Sum([]byte(text)) }
	pinned := putTree(t, s, map[string]string{"a": "pinned", "b": "shared"})
	dropped := putTree(t, s, map[string]string{"a": "dropped", "b": "shared"})
	headed := putTree(t, s, map[string]string{"a": "headed"})
	c := create(t, s, "x")
	if err := s.SetHead(c.ID, tree.Digest{}, headed.Digest()); err != nil {
		t.Fatal(err)
	}
	dropped.Close()
	headed.Close()
	upload(t, s, c.ID, "u", "journal")
	b, _ := s.Batch()
	put(t, b, "batch")
	put(t, b, "dropped") // found held
	if r := collect(t, s, time.Hour); r.Trees != 0 || r.Objects != 0 {
		t.Errorf("Collect of young trees = %+v", r)
	}
	if r := collect(t, s, -time.Hour); r.Trees != 1 || r.Objects != 0 {
		t.Errorf("Collect while a batch holds the content = %+v", r)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"pinned", "shared", "headed", "journal", "batch", "dropped"} {
		if !s.Has(digest(text)) {
			t.Errorf("%q is gone", text)
		}
	}
	if r := collect(t, s, -time.Hour); r.Objects != 2 || r.Bytes != int64(len("batch")+len("dropped")) {
		t.Errorf("Collect after the batch = %+v", r)
	}
	pinned.Close()
	if err := s.DeleteCodebase(c.ID); err != nil {
		t.Fatal(err)
	}
	if r := collect(t, s, -time.Hour); r.Trees != 2 || r.Objects != 4 || r.KeptObjects != 0 {
		t.Errorf("Collect of everything = %+v", r)
	}
	wantClean(t, s)
}

func TestReuseRenews(t *testing.T) {
	s := openStore(t)
	snapshot := putTree(t, s, map[string]string{"a": "x"})
	snapshot.Close()
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.path, "trees", snapshot.Digest().String()), old, old); err != nil {
		t.Fatal(err)
	}
	putTree(t, s, map[string]string{"a": "x"}).Close()
	if r := collect(t, s, time.Hour); r.Trees != 0 {
		t.Errorf("Collect = %+v", r)
	}
}

// TestCollectAgainstBatches has writers make, reuse and drop the same few
// trees while a collector with no mercy runs.
func TestCollectAgainstBatches(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	stop := make(chan struct{})
	var collector, writers sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := s.Collect(context.Background(), -time.Hour); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for w := range 3 {
		writers.Go(func() {
			for i := range 60 {
				if err := reuse(s, c.ID, w, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	collector.Wait()
	wantClean(t, s)
}

func reuse(s *Store, id string, w, i int) error {
	b, err := s.Batch()
	if err != nil {
		return err
	}
	defer b.Abort()
	head, err := s.Head(id)
	if err != nil {
		return err
	}
	defer head.Close()
	b.Trust(head)
	builder := tree.From(head.Tree())
	text := fmt.Sprint(i % 4)
	d, n, err := b.Put(strings.NewReader(text))
	if err != nil {
		return err
	}
	if err := builder.Add(fmt.Sprint("f", (w+i)%3), tree.Entry{Kind: tree.File, Size: n, Digest: d}); err != nil {
		return err
	}
	next, err := b.PutTree(builder)
	if err != nil {
		return err
	}
	defer next.Close()
	if err := b.Commit(); err != nil {
		return err
	}
	if err := s.SetHead(id, head.Digest(), next.Digest()); err != nil && !errors.Is(err, ErrHeadMoved) {
		return err
	}
	_, err = s.PutFile(id, fmt.Sprint("u", w), 0, bytes.NewReader([]byte(text)))
	return err
}

func TestFsckFindsAndRepairs(t *testing.T) {
	s := openStore(t)
	snapshot := putTree(t, s, map[string]string{"a": "good", "b": "bad", "c": "gone"})
	other := putTree(t, s, map[string]string{"x": "other"})
	c := create(t, s, "x")
	if err := s.SetHead(c.ID, tree.Digest{}, other.Digest()); err != nil {
		t.Fatal(err)
	}
	other.Close()
	path := func(text string) string {
		return filepath.Join(s.path, "objects", ObjectPath(tree.Sum([]byte(text))))
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path("bad"), "BAD")
	write(filepath.Join(s.path, "trees", other.Digest().String()), "no tree")
	write(filepath.Join(s.path, "trees", "README"), "?")
	write(filepath.Join(s.path, "objects", "00", "x"), "?")
	write(filepath.Join(s.path, "tmp", "b99-1"), "?")
	if err := os.Remove(path("gone")); err != nil {
		t.Fatal(err)
	}
	kinds := func(repair bool) []string {
		r, err := s.Fsck(context.Background(), repair)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, p := range r.Problems {
			kinds = append(kinds, fmt.Sprint(p.Kind, " ", p.Repaired))
		}
		slices.Sort(kinds)
		return kinds
	}
	want := func(repaired bool) []string {
		return []string{
			fmt.Sprint("corrupt object ", repaired), fmt.Sprint("corrupt tree ", repaired),
			"missing object false", "missing object false",
			fmt.Sprint("stray file ", repaired), fmt.Sprint("stray file ", repaired), fmt.Sprint("stray temp ", repaired),
		}
	}
	if got := kinds(false); !slices.Equal(got, want(false)) {
		t.Errorf("Fsck = %q", got)
	}
	if err := s.WriteCache(tree.Sum(nil), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := kinds(true); len(got) != 8 || !slices.Contains(got, "corrupt object true") {
		t.Errorf("Fsck with repair = %q", got)
	}
	if _, err := s.ReadCache(tree.Sum(nil)); !errors.Is(err, ErrNotFound) {
		t.Errorf("cache after repair: %v", err)
	}
	if got := kinds(false); !slices.Equal(got, []string{"missing object false", "missing object false", "missing tree false"}) {
		t.Errorf("Fsck after repair = %q", got)
	}
	// The same content again heals everything.
	putTree(t, s, map[string]string{"a": "good", "b": "bad", "c": "gone"})
	putTree(t, s, map[string]string{"x": "other"})
	wantClean(t, s)
	_ = snapshot
}

func TestStartupRemovesLeftovers(t *testing.T) {
	s := openStore(t)
	s.Close()
	if err := os.WriteFile(filepath.Join(s.path, "tmp", "b1-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantClean(t, reopen(t, s.path))
}

// writeUntilKilled is the child of TestKilledInTheMiddle.
func writeUntilKilled(dir string) {
	s, err := Open(dir, Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c, err := s.CreateCodebase(Creation{Owner: 1, Name: "x"})
	for i := 0; err == nil; i++ {
		var b *Batch
		b, err = s.Batch()
		builder := tree.NewBuilder()
		for j := 0; j < 40 && err == nil; j++ {
			text := fmt.Sprint(dir, i, j)
			var e tree.Entry
			e.Kind = tree.File
			if e.Digest, e.Size, err = b.Put(strings.NewReader(text)); err == nil {
				err = builder.Add(fmt.Sprintf("d%d/f", j), e)
			}
		}
		var snapshot *Snapshot
		if err == nil {
			snapshot, err = b.PutTree(builder)
		}
		if err == nil {
			err = b.Commit()
		}
		if err == nil {
			err = s.SetHead(c.ID, tree.Digest{}, snapshot.Digest())
		}
		if err == nil {
			_, err = s.PutFile(c.ID, fmt.Sprint("up", i), 0, strings.NewReader(fmt.Sprint(i)))
			snapshot.Close()
		}
		fmt.Println("round", i)
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestKilledInTheMiddle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+dir)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+round*23) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("child ended: %v\n%s", err, out.String())
		}
		s := reopen(t, dir)
		wantClean(t, s)
		list, _, err := s.Codebases(Filter{}, Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			head, err := s.Head(c.ID)
			if err != nil {
				t.Fatal(err)
			}
			head.Close()
		}
		collect(t, s, -time.Hour)
		wantClean(t, s)
		s.Close()
	}
}
