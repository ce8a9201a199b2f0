package sandbox

import (
	"context"
	"errors"
	"time"
)

// retryExpired is how soon a sandbox that could not be destroyed, or a codebase
// that could not be deleted, is tried again.
const retryExpired = 10 * time.Second

// expire destroys sandboxes and deletes codebases whose time has come, until the
// registry closes.
func (r *Registry) expire() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.life.Done():
			return
		case <-r.recheck:
		case <-timer.C:
		}
		if r.isClosed() {
			return
		}
		wait, more := r.destroyExpired()
		due, next, leased := r.leases.take(time.Now())
		for _, id := range due {
			r.tasks.Go(func() { r.deleteIdle(id) })
		}
		if more || leased {
			timer.Reset(min(wait, next))
		}
	}
}

// destroyExpired destroys what is due, side by side, and returns how long to
// wait for the next, if there are more.
func (r *Registry) destroyExpired() (wait time.Duration, more bool) {
	now := time.Now()
	wait = 24 * time.Hour
	for _, s := range r.all() {
		due, ok := s.due(now)
		if !ok {
			continue
		}
		more = true
		left := due.Sub(now)
		if left <= 0 {
			left = retryExpired
			if s.expiring.CompareAndSwap(false, true) {
				r.tasks.Go(func() { s.expireNow() })
			}
		}
		wait = min(wait, left)
	}
	return wait, more
}

func (s *Sandbox) expireNow() {
	defer s.expiring.Store(false)
	if err := s.Destroy(context.Background()); err != nil && !errors.Is(err, ErrNotFound) {
		s.reg.cfg.Log.Error("cannot destroy expired sandbox", "sandbox", s.info.ID, "error", err)
	}
}

// expiryChanged makes the expiry loop look again.
func (r *Registry) expiryChanged() {
	select {
	case r.recheck <- struct{}{}:
	default:
	}
}
