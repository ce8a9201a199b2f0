package sandbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestTransitions(t *testing.T) {
	for _, from := range []Status{Pending, Running, Stopped, Error, gone} {
		for _, by := range []event{started, failed, stopped, died, destroyed} {
			want := map[event]Status{started: Running, failed: Error, stopped: Stopped, died: Stopped, destroyed: gone}[by]
			possible := from != gone
			switch by {
			case started, failed:
				possible = possible && from != Running
			case stopped, died:
				possible = from == Running
			}
			to, ok := from.next(by)
			if ok != possible || (ok && to != want) {
				t.Errorf("%v by %v: %v, %v", from, by, to, ok)
			}
		}
	}
}

func TestLife(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	s := f.create()
	wantStatus(t, s, Pending)
	wantState(t, s.Stop(ctx), Pending)
	if _, err := s.Run(); err == nil {
		t.Error("a pending sandbox runs")
	}
	for range 2 {
		if err := s.Start(ctx); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, s, Running)
		wantState(t, s.Start(ctx), Running)
		if f.views.count() != 1 || f.runtime.count() != 1 {
			t.Errorf("%d views, %d instances", f.views.count(), f.runtime.count())
		}
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, s, Stopped)
		wantState(t, s.Stop(ctx), Stopped)
		if f.views.count() != 0 || f.runtime.count() != 0 {
			t.Errorf("%d views, %d instances", f.views.count(), f.runtime.count())
		}
	}
	if err := s.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{"start": s.Start, "stop": s.Stop, "destroy": s.Destroy} {
		if err := call(ctx); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s after destroy: %v", name, err)
		}
	}
	if _, err := f.Find(s.Info().ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("found after destroy: %v", err)
	}
}

func TestStartThatFails(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	s := f.create()
	f.runtime.setFail(errors.New("no luck"))
	var start *StartError
	if err := s.Start(ctx); !errors.As(err, &start) {
		t.Errorf("error is %v", err)
	}
	wantStatus(t, s, Error)
	if s.Info().Reason != "no luck" {
		t.Errorf("reason is %q", s.Info().Reason)
	}
	if f.views.count() != 0 {
		t.Error("the view is still held")
	}
	f.runtime.setFail(nil)
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if i := s.Info(); i.Status != Running || i.Reason != "" {
		t.Errorf("info is %+v", i)
	}
}

func TestCallerThatLeavesChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.runtime.delay = time.Minute
	s := f.create()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	wantStatus(t, s, Pending)
}

func TestDestroyInterruptsStart(t *testing.T) {
	f := newFixture(t)
	f.runtime.delay = time.Minute
	s := f.create()
	result := make(chan error)
	go func() { result <- s.Start(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	if err := s.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrNotFound) {
		t.Errorf("error of start is %v", err)
	}
}

func TestCloseInterruptsStart(t *testing.T) {
	f := newFixture(t)
	f.runtime.delay = time.Minute
	s := f.create()
	result := make(chan error)
	go func() { result <- s.Start(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	f.close()
	if err := <-result; err == nil {
		t.Error("start has succeeded")
	}
}

func TestDeathIsNoticed(t *testing.T) {
	for name, tt := range map[string]struct {
		kill func(*fixture, *Sandbox)
		want string
	}{
		"with a reason":  {func(f *fixture, s *Sandbox) { f.runtime.instance(s.Info().ID).end(errors.New("worker was killed")) }, "worker was killed"},
		"without reason": {func(f *fixture, s *Sandbox) { f.runtime.instance(s.Info().ID).end(nil) }, "the sandbox has ended by itself"},
		"of the view":    {func(f *fixture, _ *Sandbox) { f.views.die() }, "the view of the sandbox has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := f.started()
			tt.kill(f, s)
			eventually(t, "the sandbox to stop", func() bool { return s.Info().Status == Stopped })
			if got := s.Info().Reason; got != tt.want {
				t.Errorf("reason is %q, want %q", got, tt.want)
			}
			if f.views.count() != 0 || f.runtime.count() != 0 {
				t.Errorf("%d views, %d instances", f.views.count(), f.runtime.count())
			}
			if err := s.Start(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInstanceThatDoesNotEndKeepsTheSandbox(t *testing.T) {
	f := newFixture(t)
	f.patience = 50 * time.Millisecond
	s := f.started()
	f.runtime.delay = time.Minute
	if err := s.Stop(context.Background()); err == nil {
		t.Error("stop has succeeded")
	}
	wantStatus(t, s, Running)
	if f.views.count() != 1 {
		t.Error("the view is not held any more")
	}
	f.runtime.delay = 0
	if err := s.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestRacesAreSafe(t *testing.T) {
	f := newFixture(t)
	f.runtime.delay = time.Millisecond
	var all []*Sandbox
	for range 6 {
		all = append(all, f.create())
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 60 {
				s := all[rand.IntN(len(all))]
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(4000))*time.Microsecond)
				switch n := rand.IntN(20); {
				case n < 8:
					_ = s.Start(ctx)
				case n < 14:
					_ = s.Stop(ctx)
				case n < 17:
					if i := f.runtime.instance(s.Info().ID); i != nil {
						i.end(errors.New("killed"))
					}
				case n < 18:
					_, _ = s.Diff(ctx)
				case n < 19:
					_ = s.Destroy(ctx)
				default:
					f.List(func(Info) bool { return true }, Cursor{}, 3)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	running := 0
	for _, s := range all {
		if s.Info().Status == Running {
			running++
		}
	}
	// A watcher may be about to notice a death.
	eventually(t, "views and sandboxes to agree", func() bool { return f.views.count() <= running && f.runtime.count() == f.views.count() })
}

func TestCloseIsParallel(t *testing.T) {
	f := newFixture(t)
	var all []*Sandbox
	for range 20 {
		all = append(all, f.started())
	}
	f.runtime.delay = 200 * time.Millisecond
	begin := time.Now()
	f.close()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, s := range all {
		if i := s.Info(); i.Status != Stopped || i.Reason != reasonShutdown {
			t.Errorf("sandbox is %v (%s)", i.Status, i.Reason)
		}
	}
	if _, err := f.Create(context.Background(), Params{CodebaseID: f.codebase}); !errors.Is(err, ErrClosed) {
		t.Errorf("create after close: %v", err)
	}
	if err := all[0].Start(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("start after close: %v", err)
	}
}
