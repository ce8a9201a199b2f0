package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

// Info is a session at one moment.
type Info struct {
	ID string
	// Sandbox is the id of the sandbox, Owner whose it is.
	Sandbox string
	Owner   uint32
	Shell   string
	// PID is the shell's inside the sandbox.
	PID     int
	Idle    time.Duration
	Created time.Time
	// Closed is when the session ended, Reason why; zero: it has not.
	Closed time.Time
	Reason string
}

// Session is one shell that lasts. Its methods are safe for concurrent use.
type Session struct {
	reg   *Registry
	run   *sandbox.Run
	shell *shell // whoever has turn may use it; nil once life is over
	// turn is held by whoever uses the shell; others wait in order.
	turn chan struct{}
	// life ends when the session is to end.
	life context.Context
	over context.CancelFunc
	gone chan struct{} // closed when nothing of it is left

	mu    sync.Mutex // above what follows
	info  Info
	users int         // callers that run or wait
	timer *time.Timer // closes it, later forgets it
}

// Sandbox returns the sandbox that the session is in.
func (s *Session) Sandbox() *sandbox.Sandbox { return s.run.Sandbox() }

// Info returns the session as it is now.
func (s *Session) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// closedError is the error of calls on a session that has ended.
func (s *Session) closedError() error {
	info := s.Info()
	return &ClosedError{ID: info.ID, Reason: info.Reason}
}

// watch ends the session when its shell has ended by itself.
func (s *Session) watch(sh *shell) {
	select {
	case <-sh.exited:
	case <-s.life.Done():
		return
	}
	s.turn <- struct{}{} // a command that ran has said how it ended
	defer func() { <-s.turn }()
	s.end(sh.epitaph())
}

// epitaph says how a shell has ended.
func (sh *shell) epitaph() string {
	switch {
	case errors.Is(sh.failed, runtime.ErrEnded):
		return "the sandbox has stopped"
	case sh.failed != nil:
		return sh.failed.Error()
	case sh.status.Signal == syscall.SIGKILL && sh.outOfMemory():
		return "the memory limit ended the shell"
	case sh.status.Signal != 0:
		return fmt.Sprintf("the shell was ended by signal %d", sh.status.Signal)
	}
	return fmt.Sprintf("the shell has exited with code %d", sh.status.Code)
}

// end begins the session's end, unless that has begun. A command that runs is
// killed, and callers that wait are told.
func (s *Session) end(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.info.Closed.IsZero() {
		return
	}
	s.info.Closed, s.info.Reason = time.Now().UTC(), reason
	s.timer.Stop()
	s.over()
	s.reg.tasks.Go(s.finish)
}

// finish does what end begins.
func (s *Session) finish() {
	s.turn <- struct{}{} // whoever has it sees that life is over
	s.shell.close()
	s.shell = nil // with all that it has buffered
	<-s.turn
	s.reg.closed(s)
	close(s.gone)
}

// Close ends the session and all that its shell has started, and returns when
// nothing is left of it.
func (s *Session) Close(ctx context.Context, reason string) error {
	s.end(reason)
	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter gets a turn. Callers get it in the order in which they come.
func (s *Session) enter(ctx context.Context) error {
	s.mu.Lock()
	s.users++
	s.timer.Stop()
	s.mu.Unlock()
	var err error
	select {
	case s.turn <- struct{}{}:
		if s.life.Err() == nil {
			return nil
		}
		<-s.turn
		err = s.closedError()
	case <-s.life.Done():
		err = s.closedError()
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.forgetUser()
	return err
}

// leave ends a turn.
func (s *Session) leave() {
	<-s.turn
	s.forgetUser()
}

// forgetUser counts a caller out; from the last one on the session is idle.
func (s *Session) forgetUser() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 && s.info.Closed.IsZero() {
		s.timer.Reset(s.info.Idle)
	}
}

// expire ends the session if it is idle.
func (s *Session) expire() {
	s.mu.Lock()
	idle := s.users == 0
	s.mu.Unlock()
	if idle {
		s.end(fmt.Sprintf("nobody used it for %v", s.Info().Idle))
	}
}
