package sandbox

import (
	"context"
	"testing"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func gone404(f *fixture, s *Sandbox) bool {
	_, err := f.Find(s.Info().ID)
	return err != nil
}

func idleFor(d time.Duration) func(*Params) {
	return func(p *Params) { p.IdleTimeout = d }
}

func TestIdleSandboxesAreDestroyed(t *testing.T) {
	f := newFixture(t)
	const timeout = 150 * time.Millisecond
	running, pending, forever := f.started(idleFor(timeout)), f.create(idleFor(timeout)), f.started()
	eventually(t, "the end of idle sandboxes", func() bool { return gone404(f, running) && gone404(f, pending) })
	if gone404(f, forever) {
		t.Error("a sandbox without a timeout is gone too")
	}
}

func TestUseKeepsASandbox(t *testing.T) {
	f := newFixture(t)
	const timeout = 200 * time.Millisecond
	called, busy := f.started(idleFor(timeout)), f.started(idleFor(timeout))
	call, hangUp := context.WithCancel(context.Background())
	called.Hold(call)
	run, err := busy.Run()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Exec(context.Background(), runtime.Command{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * timeout)
	if gone404(f, called) || gone404(f, busy) {
		t.Fatal("a sandbox in use was destroyed")
	}
	begin := time.Now()
	hangUp()
	f.runtime.instance(busy.Info().ID).finish()
	eventually(t, "the end of idle sandboxes", func() bool { return gone404(f, called) && gone404(f, busy) })
	if took := time.Since(begin); took < timeout {
		t.Errorf("they were destroyed after %v, before the timeout of %v", took, timeout)
	}
}

func TestARestartBeginsTheIdleTimeAnew(t *testing.T) {
	f := newFixture(t)
	s := f.create(idleFor(time.Hour))
	f.close()
	f.open()
	s, err := f.Find(s.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := s.due(time.Now()); !ok || time.Until(at) < 59*time.Minute {
		t.Errorf("it is due at %v, %v", at, ok)
	}
}
