package sandbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentfense/agentfense/sandboxd/store"
)

const leaseTime = 500 * time.Millisecond

// leased gives the fixture a codebase with a timeout.
func leased(f *fixture) {
	f.Helper()
	cb, err := f.store.CreateCodebase(store.Creation{Owner: 1, IdleTimeout: leaseTime})
	if err != nil {
		f.Fatal(err)
	}
	f.codebase = cb.ID
}

func (f *fixture) hasCodebase() bool {
	f.Helper()
	_, err := f.store.Owner(f.codebase)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		f.Fatal(err)
	}
	return err == nil
}

func TestAnUnusedCodebaseIsDeleted(t *testing.T) {
	f := newFixture(t, leased)
	other, err := f.store.CreateCodebase(store.Creation{Owner: 1})
	if err != nil {
		t.Fatal(err)
	}
	made, err := f.store.CreateCodebase(store.Creation{Owner: 1, IdleTimeout: leaseTime})
	if err != nil {
		t.Fatal(err)
	}
	f.Lease(made.ID, made.IdleTimeout)
	for _, id := range []string{f.codebase, made.ID} {
		eventually(t, "the end of a codebase that nobody uses", func() bool {
			_, err := f.store.Owner(id)
			return errors.Is(err, store.ErrNotFound)
		})
	}
	if _, err := f.store.Owner(other.ID); err != nil {
		t.Errorf("one without a timeout: %v", err)
	}
}

func TestASandboxKeepsItsCodebase(t *testing.T) {
	f := newFixture(t, leased)
	first, second := f.create(), f.started()
	fork, err := f.Fork(context.Background(), first, ForkParams{Owner: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Sandbox{first, second, fork} {
		time.Sleep(2 * leaseTime)
		if !f.hasCodebase() {
			t.Fatal("it went before its last sandbox")
		}
		if err := s.Destroy(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	eventually(t, "the end of the codebase", func() bool { return !f.hasCodebase() })
	if took := time.Since(begin); took < leaseTime/2 {
		t.Errorf("it was deleted %v after its last sandbox, its timeout is %v", took, leaseTime)
	}
}

func TestARestartKeepsLeases(t *testing.T) {
	f := newFixture(t, leased)
	s := f.create()
	f.close()
	f.open()
	time.Sleep(3 * leaseTime)
	if !f.hasCodebase() {
		t.Fatal("it went before its sandbox")
	}
	s, err := f.Find(s.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.close()
	f.open()
	eventually(t, "the end of the codebase", func() bool { return !f.hasCodebase() })
}

func TestACallKeepsItsCodebase(t *testing.T) {
	f := newFixture(t, leased)
	call, hangUp := context.WithCancel(context.Background())
	if !f.HoldCodebase(call, f.codebase) {
		t.Fatal("it cannot be held")
	}
	time.Sleep(3 * leaseTime)
	if !f.hasCodebase() {
		t.Fatal("it went during a call")
	}
	hangUp()
	eventually(t, "the end of the codebase", func() bool { return !f.hasCodebase() })
}

func TestAnEndedLeaseDeletesNothing(t *testing.T) {
	f := newFixture(t, leased)
	f.EndLease(f.codebase)
	time.Sleep(3 * leaseTime)
	if !f.hasCodebase() {
		t.Error("it is gone")
	}
}

// TestALeaseThatComesLateDeletesNoKeptCodebase is what a retry of CreateCodebase
// can do that read the codebase before somebody kept it.
func TestALeaseThatComesLateDeletesNoKeptCodebase(t *testing.T) {
	f := newFixture(t, leased)
	if err := f.store.KeepCodebase(f.codebase); err != nil {
		t.Fatal(err)
	}
	f.EndLease(f.codebase)
	f.Lease(f.codebase, leaseTime)
	eventually(t, "the end of the lease", func() bool {
		f.leases.mu.Lock()
		defer f.leases.mu.Unlock()
		return len(f.leases.byID) == 0
	})
	if !f.hasCodebase() {
		t.Error("a codebase that was kept is gone")
	}
}

// TestALeaseThatComesLateCountsItsUsers is what a codebase is that somebody uses
// between its creation and its lease.
func TestALeaseThatComesLateCountsItsUsers(t *testing.T) {
	l := newLeases(nil)
	end, _ := l.begin("a")
	l.add("a", time.Minute)
	later := time.Now().Add(time.Hour)
	if due, _, _ := l.take(later); due != nil {
		t.Errorf("%v is taken from its user", due)
	}
	end()
	if due, _, _ := l.take(later); len(due) != 1 {
		t.Error("it is not taken after its last user")
	}
}

func TestWhatNobodyUsesOrLeasesIsForgotten(t *testing.T) {
	l := newLeases(map[string]time.Duration{"a": time.Minute})
	end, _ := l.begin("a")
	other, _ := l.begin("b")
	l.remove("a")
	if due, _, more := l.take(time.Now().Add(time.Hour)); due != nil || more {
		t.Errorf("take() = %v, %v with no lease", due, more)
	}
	end()
	other()
	if len(l.byID) != 0 {
		t.Errorf("%v is left", l.byID)
	}
}

func TestNobodyUsesWhatIsBeingDeleted(t *testing.T) {
	l := newLeases(map[string]time.Duration{"a": time.Minute, "b": time.Hour})
	now := time.Now().Add(2 * time.Minute)
	due, wait, more := l.take(now)
	if len(due) != 1 || due[0] != "a" || !more || wait > 58*time.Minute+time.Second {
		t.Fatalf("take() = %v, %v, %v", due, wait, more)
	}
	if _, ok := l.begin("a"); ok {
		t.Error("a call began to use it")
	}
	if due, _, _ := l.take(now); due != nil {
		t.Errorf("it is deleted twice: %v", due)
	}
	l.giveBack("a")
	end, ok := l.begin("a")
	if !ok {
		t.Fatal("a codebase that could not be deleted cannot be used")
	}
	if due, _, _ := l.take(now); due != nil {
		t.Errorf("%v is taken from under a call", due)
	}
	end()
}

func TestAFailedDeletionIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases(map[string]time.Duration{"a": 1, "b": time.Hour})
		time.Sleep(time.Second)
		if due, _, _ := l.take(time.Now()); len(due) != 1 {
			t.Fatalf("%v is taken", due)
		}
		l.giveBack("a")
		if due, wait, more := l.take(time.Now().Add(1)); due != nil || !more || wait < retryExpired-1 || wait > retryExpired {
			t.Errorf("after a failure take() = %v, %v, %v", due, wait, more)
		}
		time.Sleep(retryExpired)
		if due, _, _ := l.take(time.Now()); len(due) != 1 {
			t.Error("it is not tried again")
		}
	})
}
