package sandbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/store"
)

// Codebases is what a registry needs to delete codebases that nobody uses.
type Codebases interface {
	// IdleTimeouts returns those of all codebases that have one, by their ids.
	IdleTimeouts() (map[string]time.Duration, error)
	// ExpireCodebase deletes one, unless it has no idle timeout any more.
	ExpireCodebase(id string) error
}

// leases are the codebases that have an idle timeout or are in use. Calls that
// name one use it, and so do its sandboxes in any status.
type leases struct {
	mu   sync.Mutex // above byID and what its leases hold
	byID map[string]*lease
}

type lease struct {
	idle    idle
	timeout time.Duration // zero: it is only in use, and may have a timeout yet
	ending  bool          // being deleted: nobody can use it any more
	retry   time.Time     // not deleted before, because that failed
}

func newLeases(timeouts map[string]time.Duration) *leases {
	l := &leases{byID: make(map[string]*lease, len(timeouts))}
	for id, timeout := range timeouts {
		l.add(id, timeout)
	}
	return l
}

func (l *leases) add(id string, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.get(id); c.timeout == 0 {
		c.idle.last, c.timeout = time.Now(), timeout
	}
}

// get is called with mu held.
func (l *leases) get(id string) *lease {
	c := l.byID[id]
	if c == nil {
		c = &lease{}
		l.byID[id] = c
	}
	return c
}

func (l *leases) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		c.timeout, c.ending = 0, false
		l.tidy(id, c)
	}
}

// tidy forgets a codebase that nobody uses and that has no timeout. It is called
// with mu held.
func (l *leases) tidy(id string, c *lease) {
	if c.timeout == 0 && c.idle.users == 0 {
		delete(l.byID, id)
	}
}

// begin counts one more user until end is called; false means that the codebase
// is being deleted.
func (l *leases) begin(id string) (end func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.get(id)
	if c.ending {
		return nil, false
	}
	c.idle.begin()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.idle.end()
		l.tidy(id, c)
	}, true
}

// take returns the codebases whose time has come, which nobody can use from here
// on, and how long to wait for the next; false is for good.
func (l *leases) take(now time.Time) (due []string, wait time.Duration, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = 24 * time.Hour
	for id, c := range l.byID {
		if c.ending || c.timeout == 0 {
			continue
		}
		left := max(c.idle.since(now).Add(c.timeout).Sub(now), c.retry.Sub(now))
		if left <= 0 {
			c.ending = true
			due = append(due, id)
			continue
		}
		more = true
		wait = min(wait, left)
	}
	return due, wait, more
}

// giveBack ends what take began: the codebase is there, and its time begins anew,
// but is not less than retryExpired.
func (l *leases) giveBack(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		now := time.Now()
		c.ending, c.idle.last, c.retry = false, now, now.Add(retryExpired)
	}
}

// Lease makes a codebase one that is deleted after so long without a use. Zero
// is never.
func (r *Registry) Lease(id string, timeout time.Duration) {
	if timeout > 0 {
		r.leases.add(id, timeout)
		r.expiryChanged()
	}
}

// EndLease makes it stay until somebody deletes it.
func (r *Registry) EndLease(id string) { r.leases.remove(id) }

// HoldCodebase keeps a codebase in use until ctx ends, which is a call's. False
// means that it is being deleted.
func (r *Registry) HoldCodebase(ctx context.Context, id string) bool {
	end, ok := r.leases.begin(id)
	if ok {
		context.AfterFunc(ctx, end)
	}
	return ok
}

func (r *Registry) deleteIdle(id string) {
	err := r.cfg.Codebases.ExpireCodebase(id)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		r.leases.remove(id)
		return
	}
	r.cfg.Log.Error("cannot delete a codebase that nobody uses", "codebase", id, "error", err)
	r.leases.giveBack(id)
	r.expiryChanged()
}
