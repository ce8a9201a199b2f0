package sandbox

import (
	"context"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// idle counts what uses a sandbox, for its idle timeout. Its zero value is a
// sandbox that was never used.
type idle struct {
	mu    sync.Mutex // above what follows
	users int        // calls under way and commands that run
	last  time.Time  // when the last one ended
}

func (i *idle) begin() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users++
}

func (i *idle) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users--
	i.last = time.Now()
}

// since returns when the last use ended; now, while there is one.
func (i *idle) since(now time.Time) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.users > 0 {
		return now
	}
	return i.last
}

// Hold keeps the sandbox from being idle until ctx ends, which is a call's.
func (s *Sandbox) Hold(ctx context.Context) {
	if s.Info().IdleTimeout == 0 {
		return
	}
	s.idle.begin()
	context.AfterFunc(ctx, s.idle.end)
}

// due returns when the sandbox is to be destroyed as things are; false is
// never.
func (s *Sandbox) due(now time.Time) (time.Time, bool) {
	info := s.Info()
	at := info.Expires
	if info.IdleTimeout > 0 {
		if idle := s.idle.since(now).Add(info.IdleTimeout); at.IsZero() || idle.Before(at) {
			at = idle
		}
	}
	return at, !at.IsZero()
}

// holdFor keeps the sandbox from being idle until a command has ended.
func (s *Sandbox) holdFor(p runtime.Process) {
	if s.Info().IdleTimeout == 0 {
		return
	}
	s.idle.begin()
	s.reg.tasks.Go(func() {
		defer s.idle.end()
		_, _ = p.Wait(context.Background()) // it ends with the sandbox at the latest
	})
}
