package sandbox

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/store"
)

func (f *fixture) fork(s *Sandbox, p ForkParams) *Sandbox {
	f.Helper()
	fork, err := f.Fork(context.Background(), s, p)
	if err != nil {
		f.Fatal(err)
	}
	return fork
}

func TestForkIsASandboxOfItsOwn(t *testing.T) {
	f := newFixture(t)
	s := f.started(allWritable, func(p *Params) { p.Labels = map[string]string{"a": "b"}; p.Limits.Pids = 7 })
	f.change(s, "a", "mine")
	f.change(s, "new/x", "mine")
	f.put("a", "theirs") // the fork has the snapshot of its source
	fork := f.fork(s, ForkParams{Owner: 1, Labels: map[string]string{"c": "d"}})
	was, is := s.Info(), fork.Info()
	if is.ID == was.ID || is.Status != Pending || is.Snapshot != was.Snapshot || is.Limits != was.Limits || is.Labels["c"] != "d" || len(is.Labels) != 1 {
		t.Errorf("the fork is %+v", is)
	}
	if got := f.diff(fork); got != "modified /a, added /new, added /new/x" {
		t.Errorf("the fork changed %s", got)
	}
	f.change(fork, "b", "fork's")
	f.change(s, "c", "source's")
	if got := f.diff(s); got != "modified /a, added /c, added /new, added /new/x" {
		t.Errorf("the source changed %s", got)
	}
	if err := s.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := fork.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := f.diff(fork); got != "modified /a, added /b, added /new, added /new/x" {
		t.Errorf("the fork changed %s", got)
	}
}

func TestForkRemembersWhatWasCommitted(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "a", "mine")
	f.commit(s)
	fork := f.fork(s, ForkParams{Owner: 1})
	f.change(fork, "b", "x")
	if got := describe(f.commit(fork).Applied); got != "added /b" {
		t.Errorf("applied: %s", got)
	}
	f.close()
	f.open()
	again, err := f.Find(fork.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(f.commit(again).Applied); got != "" {
		t.Errorf("applied after a restart: %s", got)
	}
}

func TestForkOfOneRequestIsOne(t *testing.T) {
	f := newFixture(t)
	s := f.create(func(p *Params) { p.RequestID = "same" })
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			fork, err := f.Fork(context.Background(), s, ForkParams{Owner: 1, RequestID: "same"})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = fork.Info().ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == s.Info().ID {
			t.Errorf("the forks of one request are %v, the source is %s", ids, s.Info().ID)
		}
	}
	f.close()
	f.open()
	s, err := f.Find(s.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	if again := f.fork(s, ForkParams{Owner: 1, RequestID: "same"}); again.Info().ID != ids[0] {
		t.Error("the request is forgotten after a restart")
	}
}

func TestForksCountForTheirOwner(t *testing.T) {
	f := newFixture(t, func(f *fixture) { f.limit = 2 })
	s := f.create()
	f.fork(s, ForkParams{Owner: 1})
	_, err := f.Fork(context.Background(), s, ForkParams{Owner: 1})
	if _, ok := errors.AsType[*LimitError](err); !ok {
		t.Errorf("error is %v", err)
	}
	if other := f.fork(s, ForkParams{Owner: 2}); other.Info().Owner != 2 {
		t.Errorf("the fork belongs to %d", other.Info().Owner)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Fork(ctx, s, ForkParams{Owner: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	f.fork(s, ForkParams{Owner: 2}) // what failed does not count
}

func TestSnapshotIsWhatMayBeCommitted(t *testing.T) {
	f := newFixture(t)
	s := f.started()
	f.change(s, "output/x", "new")
	f.change(s, "src/b", "forbidden")
	f.put("a", "theirs")
	snap, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for path, want := range map[string]string{"output/x": "new", "src/b": "b", "a": "a"} {
		if got := f.content(snap, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	f.wantHead(map[string]string{"output/x": "-", "a": "theirs"})
	if got := f.diff(s); got != "added /output/x, modified /src/b" {
		t.Errorf("the sandbox changed %s", got)
	}
}

func (f *fixture) content(snap *store.Snapshot, path string) string {
	f.Helper()
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
