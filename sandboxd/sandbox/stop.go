package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// reasonShutdown is why a sandbox ended with the daemon.
const reasonShutdown = "the daemon was stopped"

// Stop ends every process of the sandbox; the delta stays. It goes on when ctx
// ends. A [StateError] means that the sandbox does not run; any other error
// that it still does.
func (s *Sandbox) Stop(ctx context.Context) error {
	if err := s.turn.lock(ctx); err != nil {
		return err
	}
	defer s.turn.unlock()
	if err := s.allows(stopped); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.reg.patience)
	defer cancel()
	return s.finish(ctx, stopped, "")
}

// finish ends what runs and moves on. turn is held, and the sandbox runs.
func (s *Sandbox) finish(ctx context.Context, by event, reason string) error {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	if err := run.inst.Close(ctx); err != nil {
		if by != died {
			return fmt.Errorf("cannot end %s: %w", s.info.ID, err)
		}
		s.reg.cfg.Log.Error("cannot clean up after a sandbox that died", "sandbox", s.info.ID, "error", err)
	}
	run.over(runtime.ErrEnded)
	close(run.ended)
	run.stopRecording()
	run.view.Release()
	s.move(by, reason, nil)
	return nil
}

// watch waits for the instance, or the view that it needs, to end by itself.
func (s *Sandbox) watch(run *running) {
	var reason string
	select {
	case <-run.ended:
		return
	case <-run.inst.Done():
	case <-run.view.Done():
		reason = "the view of the sandbox has ended"
	}
	run.over(runtime.ErrEnded)
	_ = s.turn.lock(context.Background()) // never gives up
	defer s.turn.unlock()
	s.mu.Lock()
	current := s.run == run
	s.mu.Unlock()
	if !current {
		return
	}
	if reason == "" {
		reason = "the sandbox has ended by itself"
		if err := run.inst.Reason(); err != nil {
			reason = err.Error()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.reg.patience)
	defer cancel()
	_ = s.finish(ctx, died, reason) // logs what went wrong
}

// shutDown ends the sandbox with the daemon.
func (s *Sandbox) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.reg.patience)
	defer cancel()
	if err := s.turn.lock(ctx); err != nil {
		return fmt.Errorf("cannot end %s: %w", s.info.ID, err)
	}
	defer s.turn.unlock()
	if s.allows(stopped) != nil {
		return nil
	}
	return s.finish(ctx, stopped, reasonShutdown)
}

// letGo unpins at the end of the daemon, unless a commit takes too long.
func (s *Sandbox) letGo() {
	ctx, cancel := context.WithTimeout(context.Background(), s.reg.patience)
	defer cancel()
	if s.delta.lock(ctx) == nil {
		defer s.delta.unlock()
		s.unpin()
		s.closeDisk()
	}
}

// Destroy ends the sandbox and removes its delta, whatever its status. It goes
// on when ctx ends. ErrNotFound means that somebody else was faster; after any
// other error the sandbox is still there.
func (s *Sandbox) Destroy(ctx context.Context) (err error) {
	s.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.reg.patience)
	defer cancel()
	if err := s.turn.lock(ctx); err != nil {
		return err
	}
	defer s.turn.unlock()
	if err := s.allows(destroyed); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.renew()
		}
	}()
	if s.allows(stopped) == nil {
		if err := s.finish(ctx, stopped, ""); err != nil {
			return err
		}
	}
	if err := s.delta.lock(ctx); err != nil {
		return errors.New("cannot destroy: a commit is still under way")
	}
	defer s.delta.unlock()
	if err := s.reg.discard(s.info.ID); err != nil {
		return err
	}
	s.closeDisk()
	s.move(destroyed, "", nil)
	s.unpin()
	s.leave()
	s.reg.forget(s.info)
	return nil
}

// forget takes a destroyed sandbox out of the registry.
func (r *Registry) forget(info Info) {
	r.mu.Lock()
	delete(r.known, info.ID)
	key := requestKey{info.Owner, info.RequestID}
	if c := r.request[key]; c != nil && c.made() == info.ID {
		delete(r.request, key)
	}
	r.mu.Unlock()
	r.unreserve(info.Owner)
	r.expiryChanged()
}
