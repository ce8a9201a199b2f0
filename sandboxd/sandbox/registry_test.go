package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
)

func TestSandboxesComeBack(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	running, pending, broken, stopped := f.started(), f.create(), f.create(), f.started()
	want := running.Info()
	if err := stopped.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	upper := filepath.Join(f.dir, sandboxesName, want.ID, upperName, "output", "x")
	if err := os.WriteFile(upper, []byte("delta"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.crash()
	record := filepath.Join(f.dir, sandboxesName, broken.Info().ID, recordName)
	if err := os.WriteFile(record, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(f.dir, sandboxesName, newPrefix+"sb_x")
	if err := os.MkdirAll(half+"/upper", 0o700); err != nil {
		t.Fatal(err)
	}
	f.open()

	find := func(s *Sandbox) *Sandbox {
		s, err := f.Find(s.Info().ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	got := find(running).Info()
	if got.Status != Stopped || got.Reason != reasonRestart {
		t.Errorf("running: status is %v (%s)", got.Status, got.Reason)
	}
	if got.Snapshot != want.Snapshot || got.Owner != want.Owner || !got.Created.Equal(want.Created) || !slices.Equal(got.Rules, want.Rules) {
		t.Errorf("it came back as %+v, was %+v", got, want)
	}
	if data, err := os.ReadFile(upper); string(data) != "delta" {
		t.Errorf("delta: %q, %v", data, err)
	}
	wantStatus(t, find(pending), Pending)
	wantStatus(t, find(stopped), Stopped)
	if got := find(stopped).Info().Reason; got != "" {
		t.Errorf("stopped: reason is %q", got)
	}
	if i := find(broken).Info(); i.Status != Error || i.Owner != 0 || i.Reason == "" {
		t.Errorf("broken: %+v", i)
	}
	wantState(t, find(broken).Start(ctx), Error)
	if data, _ := os.ReadFile(record); string(data) != "{" {
		t.Errorf("the broken record was replaced by %q", data)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("a half made directory is still there")
	}
	for _, s := range []*Sandbox{running, pending} {
		if err := find(s).Start(ctx); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []*Sandbox{running, pending, broken, stopped} {
		if err := find(s).Destroy(ctx); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "empty directories", func() bool {
		left, _ := filepath.Glob(f.dir + "/sandboxes/*")
		trash, _ := filepath.Glob(f.dir + "/trash/*")
		return len(left)+len(trash) == 0
	})
}

func TestSnapshotStaysUntilDestroy(t *testing.T) {
	f := newFixture(t)
	s := f.create()
	d := s.Info().Snapshot
	if err := f.store.DeleteCodebase(f.codebase); err != nil {
		t.Fatal(err)
	}
	collect := func() {
		if _, err := f.store.Collect(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	f.crash()
	f.open()
	collect()
	s, err := f.Find(s.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	collect()
	if snap, err := f.store.Snapshot(d); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the snapshot is still there: %v, %v", snap, err)
	}
}

func TestRequestIDMakesOneSandbox(t *testing.T) {
	f := newFixture(t)
	with := func(p *Params) { p.RequestID = "r" }
	var mu sync.Mutex
	ids := map[string]bool{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			s := f.create(with)
			mu.Lock()
			defer mu.Unlock()
			ids[s.Info().ID] = true
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d sandboxes were made", len(ids))
	}
	s := f.create(with)
	if other := f.create(with, func(p *Params) { p.Owner = 2 }); other == s {
		t.Error("two owners got one sandbox")
	}
	f.crash()
	f.open()
	if again := f.create(with); again.Info().ID != s.Info().ID {
		t.Error("it was forgotten")
	}
	again, _ := f.Find(s.Info().ID)
	if err := again.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if fresh := f.create(with); fresh.Info().ID == s.Info().ID {
		t.Error("a destroyed sandbox came back")
	}
}

func TestCreateErrors(t *testing.T) {
	f := newFixture(t)
	for name, tt := range map[string]struct {
		change func(*Params)
		check  func(error) bool
	}{
		"no such codebase": {func(p *Params) { p.CodebaseID = "cb_no" }, func(err error) bool { return errors.Is(err, store.ErrNotFound) }},
		"a bad rule": {func(p *Params) { p.Rules = []policy.Rule{{Pattern: "a/../b", Level: policy.Read}} }, func(err error) bool {
			var rule *policy.RuleError
			return errors.As(err, &rule)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Params{CodebaseID: f.codebase, Owner: 1, Rules: writing(), RequestID: "r"}
			tt.change(&p)
			for range 2 { // a failed request id can be used again
				if _, err := f.Create(context.Background(), p); !tt.check(err) {
					t.Errorf("error is %v", err)
				}
			}
		})
	}
	if left, _ := os.ReadDir(f.dir + "/sandboxes"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	f.create(func(p *Params) { p.RequestID = "r" })
}

func TestLimitPerOwner(t *testing.T) {
	f := newFixture(t, func(f *fixture) { f.limit = 2 })
	first := f.create()
	f.create()
	f.create(func(p *Params) { p.Owner = 2 })
	var limit *LimitError
	if _, err := f.Create(context.Background(), Params{CodebaseID: f.codebase, Owner: 1, Rules: writing()}); !errors.As(err, &limit) || limit.Limit != 2 {
		t.Errorf("error is %v", err)
	}
	if err := first.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.create()
	f.crash()
	f.open()
	if _, err := f.Create(context.Background(), Params{CodebaseID: f.codebase, Owner: 1, Rules: writing()}); !errors.As(err, &limit) {
		t.Errorf("error after a restart is %v", err)
	}
}

func TestExpiry(t *testing.T) {
	f := newFixture(t)
	soon := func(p *Params) { p.Expires = time.Now().Add(50 * time.Millisecond) }
	a, b, stays := f.started(soon), f.create(soon), f.create(func(p *Params) { p.Expires = time.Now().Add(time.Hour) })
	for _, s := range []*Sandbox{a, b} {
		eventually(t, "the sandbox to expire", func() bool { _, err := f.Find(s.Info().ID); return err != nil })
	}
	late := f.create(func(p *Params) { p.Expires = time.Now().Add(100 * time.Millisecond) })
	f.crash()
	time.Sleep(100 * time.Millisecond)
	f.open()
	eventually(t, "the sandbox to expire after a restart", func() bool { _, err := f.Find(late.Info().ID); return err != nil })
	if _, err := f.Find(stays.Info().ID); err != nil {
		t.Error(err)
	}
}

func TestListPages(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 7 {
		s := f.create(func(p *Params) { p.Owner = uint32(1 + i%2) })
		if i%2 == 0 {
			want = append(want, s.Info().ID)
		}
	}
	var got []string
	for after, more := (Cursor{}), true; more; {
		var page []Info
		page, more = f.List(func(i Info) bool { return i.Owner == 1 }, after, 3)
		for _, i := range page {
			got = append(got, i.ID)
			after = Cursor{i.Created, i.ID}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("list is %v, want %v", got, want)
	}
}

func TestShell(t *testing.T) {
	for bash, want := range map[bool]string{true: "/bin/bash", false: "/bin/sh"} {
		f := newFixture(t)
		s := f.started()
		f.runtime.instance(s.Info().ID).bash = bash
		run, err := s.Run()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := run.Shell(context.Background()); got != want || err != nil {
				t.Errorf("shell is %q, %v, want %q", got, err, want)
			}
			f.runtime.instance(s.Info().ID).bash = !bash // it looks only once
		}
	}
}

func TestIDsAreRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if len(id) != 35 || !strings.HasPrefix(id, "sb_") || seen[id] {
			t.Fatalf("bad id %q", id)
		}
		seen[id] = true
	}
}
