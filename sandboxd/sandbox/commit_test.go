package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// change puts a file into the sandbox's upper directory, as it would itself.
func (f *fixture) change(s *Sandbox, path, content string) {
	f.Helper()
	file := filepath.Join(f.dir, sandboxesName, s.Info().ID, upperName, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		f.Fatal(err)
	}
}

// forget takes a file out of the upper directory again.
func (f *fixture) unchange(s *Sandbox, path string) {
	f.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, sandboxesName, s.Info().ID, upperName, path)); err != nil {
		f.Fatal(err)
	}
}

// head returns the content of a file in the codebase's head, "-" if there is none.
func (f *fixture) head(path string) string {
	f.Helper()
	snap, err := f.store.Head(f.codebase)
	if err != nil {
		f.Fatal(err)
	}
	defer snap.Close()
	n, ok := snap.Tree().Lookup(path)
	if !ok {
		return "-"
	}
	o, err := f.store.OpenObject(snap.Tree().Entry(n).Digest)
	if err != nil {
		f.Fatal(err)
	}
	defer o.Close()
	data, err := io.ReadAll(o)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

func (f *fixture) wantHead(files map[string]string) {
	f.Helper()
	for path, want := range files {
		if got := f.head(path); got != want {
			f.Errorf("%s is %q in the codebase, want %q", path, got, want)
		}
	}
}

func (f *fixture) commit(s *Sandbox, paths ...string) CommitResult {
	f.Helper()
	res, err := s.Commit(context.Background(), paths)
	if err != nil {
		f.Fatal(err)
	}
	return res
}

func (f *fixture) settle(s *Sandbox) {
	f.Helper()
	if err := s.Settle(context.Background()); err != nil {
		f.Fatal(err)
	}
}

func allWritable(p *Params) { p.Rules = []policy.Rule{{Pattern: "**/*", Level: policy.Write}} }

func describe(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%v %s", c.Op, c.Path))
	}
	return strings.Join(out, ", ")
}

func TestCommitAppliesWhatThePolicyPermits(t *testing.T) {
	f := newFixture(t)
	s := f.create()
	f.change(s, "output/x", "new")
	f.change(s, "src/b", "forbidden")
	res := f.commit(s)
	if got := describe(res.Applied); got != "added /output, added /output/x" {
		t.Errorf("applied: %s", got)
	}
	if got := describe(res.Refused); got != "modified /src/b" {
		t.Errorf("refused: %s", got)
	}
	if i := res.Applied[1].Verdict.Rule; i != 1 {
		t.Errorf("the rule of an applied change is %d", i)
	}
	f.wantHead(map[string]string{"output/x": "new", "src/b": "b", "a": "a"})
	if again := f.commit(s); len(again.Applied) != 0 || again.Head != res.Head {
		t.Errorf("a second commit applied %s", describe(again.Applied))
	}
}

func TestCommitOfSomePaths(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "src/b", "1")
	f.change(s, "src2", "2")
	f.change(s, "a", "3")
	if got := describe(f.commit(s, "/src").Applied); got != "modified /src/b" {
		t.Errorf("applied: %s", got)
	}
	f.wantHead(map[string]string{"src/b": "1", "src2": "-", "a": "a"})
	if got := describe(f.commit(s).Applied); got != "modified /a, added /src2" {
		t.Errorf("applied: %s", got)
	}
	f.wantHead(map[string]string{"src/b": "1", "src2": "2", "a": "3"})
}

func TestStrictCommitConflicts(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "a", "mine")
	f.change(s, "fresh", "mine")
	f.put("a", "theirs")
	before := f.head("a")
	_, err := s.Commit(context.Background(), nil)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"/a"}) {
		t.Fatalf("error is %v", err)
	}
	f.wantHead(map[string]string{"a": before, "fresh": "-"})
	f.commit(s, "/fresh")
	f.wantHead(map[string]string{"a": "theirs", "fresh": "mine"})
}

func TestOwnCommitsDoNotConflict(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	for _, content := range []string{"1", "2", "3"} {
		f.change(s, "a", content)
		f.commit(s)
		f.wantHead(map[string]string{"a": content})
	}
	f.unchange(s, "a") // as if it had been put back
	if got := describe(f.commit(s).Applied); got != "modified /a" {
		t.Errorf("applied: %s", got)
	}
	f.wantHead(map[string]string{"a": "a"})
	f.change(s, "fresh", "x")
	f.commit(s)
	f.unchange(s, "fresh")
	if got := describe(f.commit(s).Applied); got != "deleted /fresh" {
		t.Errorf("applied: %s", got)
	}
	f.wantHead(map[string]string{"fresh": "-"})
}

func TestOnExecLastWriterWins(t *testing.T) {
	f := newFixture(t)
	onExec := func(p *Params) { p.Mode = OnExec }
	one, two := f.create(allWritable, onExec), f.create(allWritable, onExec)
	f.change(one, "a", "one")
	f.settle(one)
	f.wantHead(map[string]string{"a": "one"})
	f.change(two, "a", "two")
	f.settle(two)
	f.wantHead(map[string]string{"a": "two"})
	f.settle(one) // has changed nothing since, so it does not win again
	f.change(one, "other", "x")
	f.settle(one)
	f.wantHead(map[string]string{"a": "two", "other": "x"})
}

func TestCommittedStateSurvivesARestart(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "a", "mine")
	f.commit(s)
	f.put("a", "theirs, later")
	f.close()
	f.open()
	s, err := f.Find(s.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(f.commit(s).Applied); got != "" {
		t.Errorf("applied again: %s", got)
	}
	f.wantHead(map[string]string{"a": "theirs, later"})
}

func TestManualDoesNotCommitByItself(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "a", "mine")
	f.settle(s)
	f.wantHead(map[string]string{"a": "a"})
}

func TestCodebaseThatIsGone(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable, func(p *Params) { p.Mode = OnExec })
	f.change(s, "a", "mine")
	if err := f.store.DeleteCodebase(f.codebase); err != nil {
		t.Fatal(err)
	}
	f.settle(s)
	if _, err := s.Commit(context.Background(), nil); !errors.Is(err, ErrCodebase) {
		t.Errorf("error is %v", err)
	}
	if changes, err := s.Diff(context.Background()); err != nil || describe(changes) != "modified /a" {
		t.Errorf("diff is %s, %v", describe(changes), err)
	}
}

func TestConcurrentCommitsAllArrive(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	want := map[string]string{"a": "a"}
	for i := range 6 {
		s := f.create(allWritable, func(p *Params) { p.Mode = OnExec })
		for j := range 4 {
			want[fmt.Sprintf("f%d-%d", i, j)] = "x"
		}
		wg.Go(func() {
			for j := range 4 {
				f.change(s, fmt.Sprintf("f%d-%d", i, j), "x")
				if err := s.Settle(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	f.wantHead(want)
}

func TestDiffTreesLeadsFromOneToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := randomTree(t, "from"), randomTree(t, "to")
		b := tree.From(from)
		changes := diffTrees(from, to)
		if !slices.IsSortedFunc(changes, byPath) {
			t.Fatalf("not sorted: %s", describe(changes))
		}
		for _, c := range slices.Backward(changes) {
			if c.Op == Deleted {
				b.Remove(c.Path)
			}
		}
		for _, c := range changes {
			if c.Op != Deleted {
				if err := b.Add(c.Path, c.Entry); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := tree.Open(b.Build())
		if err != nil {
			t.Fatal(err)
		}
		if left := diffTrees(got, to); len(left) != 0 {
			t.Fatalf("after %s there is left: %s", describe(changes), describe(left))
		}
		if from.Digest() == to.Digest() && len(changes) != 0 {
			t.Fatalf("equal trees differ: %s", describe(changes))
		}
	})
}

func randomTree(t *rapid.T, label string) *tree.Tree {
	b := tree.NewBuilder()
	paths := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "a-b", "d", "d/e", "d/f/g"}), 0, 6).Draw(t, label)
	for _, path := range paths {
		e := rapid.SampledFrom([]tree.Entry{
			{Kind: tree.File, Mode: 0o644, Size: 1, Digest: tree.Digest{1}},
			{Kind: tree.File, Mode: 0o755, Size: 1, Digest: tree.Digest{2}},
			{Kind: tree.Dir, Mode: 0o755},
			{Kind: tree.Dir, Mode: 0o700},
			{Kind: tree.Symlink, Target: "x"},
		}).Draw(t, "entry")
		_ = b.Add(path, e) // a file may be in the way
	}
	tr, err := tree.Open(b.Build())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
