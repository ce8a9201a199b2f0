package sandbox

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

func (f *fixture) discard(s *Sandbox, paths ...string) string {
	f.Helper()
	dropped, err := s.Discard(context.Background(), paths)
	if err != nil {
		f.Fatal(err)
	}
	return describe(dropped)
}

func (f *fixture) diff(s *Sandbox) string {
	f.Helper()
	changes, err := s.Diff(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	return describe(changes)
}

func TestDiscardDropsWhatIsAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		paths         []string
		dropped, left string
	}{
		"all":                    {nil, "modified /a, added /new, added /new/x, modified /src/b, added /src2", ""},
		"the root":               {[]string{"/"}, "modified /a, added /new, added /new/x, modified /src/b, added /src2", ""},
		"one file":               {[]string{"/a"}, "modified /a", "added /new, added /new/x, modified /src/b, added /src2"},
		"a tree, not its like":   {[]string{"/src"}, "modified /src/b", "modified /a, added /new, added /new/x, added /src2"},
		"a file in a new tree":   {[]string{"/new/x"}, "added /new/x", "modified /a, added /new, modified /src/b, added /src2"},
		"two":                    {[]string{"/a", "/new"}, "modified /a, added /new, added /new/x", "modified /src/b, added /src2"},
		"what did not change":    {[]string{"/src/deep"}, "", "modified /a, added /new, added /new/x, modified /src/b, added /src2"},
		"what has never existed": {[]string{"/nope"}, "", "modified /a, added /new, added /new/x, modified /src/b, added /src2"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := f.create(allWritable)
			for path, content := range map[string]string{"a": "1", "src/b": "2", "src2": "3", "new/x": "4"} {
				f.change(s, path, content)
			}
			if got := f.discard(s, tt.paths...); got != tt.dropped {
				t.Errorf("dropped: %s", got)
			}
			if got := f.diff(s); got != tt.left {
				t.Errorf("left: %s", got)
			}
			entries, err := os.ReadDir(f.dir + "/sandboxes/" + s.Info().ID)
			if err != nil || len(entries) != 3 { // upper, work, record
				t.Errorf("the state directory has %v, %v", entries, err)
			}
		})
	}
}

func TestDiscardNeedsASandboxThatDoesNotRun(t *testing.T) {
	f := newFixture(t)
	s := f.started(allWritable)
	f.change(s, "a", "mine")
	_, err := s.Discard(context.Background(), nil)
	wantState(t, err, Running)
	if got := f.diff(s); got != "modified /a" {
		t.Errorf("left: %s", got)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.discard(s)
	if err := s.Start(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestDiscardDoesNotTakeACommitBack(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "a", "mine")
	f.change(s, "src/b", "mine")
	f.commit(s)
	f.discard(s, "/a")
	if got := describe(f.commit(s).Applied); got != "" {
		t.Errorf("applied: %s", got)
	}
	f.wantHead(map[string]string{"a": "mine", "src/b": "mine"})
	f.discard(s)
	f.change(s, "other", "x")
	if got := describe(f.commit(s).Applied); got != "added /other" {
		t.Errorf("applied: %s", got)
	}
	f.wantHead(map[string]string{"a": "mine", "src/b": "mine", "other": "x"})
	// What the sandbox makes anew of it is made without the other's knowledge.
	f.change(s, "a", "later")
	_, err := s.Commit(context.Background(), nil)
	if _, ok := errors.AsType[*ConflictError](err); !ok {
		t.Errorf("error is %v", err)
	}
}

func TestDiscardAfterACrash(t *testing.T) {
	f := newFixture(t)
	s := f.create(allWritable)
	f.change(s, "a", "mine")
	left := f.dir + "/sandboxes/" + s.Info().ID + "/" + nextName + "/half"
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := f.discard(s, "/nothing", "/src"); got != "" {
		t.Errorf("dropped: %s", got)
	}
	f.change(s, "src/b", "mine")
	if got := f.discard(s, "/src"); got != "modified /src/b" {
		t.Errorf("dropped: %s", got)
	}
	if got := f.diff(s); got != "modified /a" {
		t.Errorf("left: %s", got)
	}
}

func TestDiscardDropsPrivateFiles(t *testing.T) {
	f := newFixture(t)
	s := f.create(func(p *Params) {
		p.Rules = []policy.Rule{{Pattern: "**/*", Level: policy.Write}, {Pattern: "/hidden", Level: policy.None, Priority: 1}}
	})
	f.change(s, "hidden", "mine")
	if got := f.discard(s); got != "added /hidden" {
		t.Errorf("dropped: %s", got)
	}
}
