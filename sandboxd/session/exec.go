package session

import (
	"context"
	"errors"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Command is one command for a shell.
type Command struct {
	// Text is given to the shell as it is.
	Text string
	// Timeout is the time from its start until it is interrupted; zero means
	// no limit.
	Timeout time.Duration
}

// Exec runs a command when those of earlier callers have ended, and gives what
// is written meanwhile to sink. If the command ends the shell, the status is
// the shell's, and the session is closed.
//
// When ctx ends, sink fails, or after the timeout, the command and what it has
// started are interrupted; the error is then ctx's, sink's, or a
// [TimeoutError]. A [ClosedError] means that the session has ended.
func (s *Session) Exec(ctx context.Context, c Command, sink Sink) (runtime.Status, error) {
	if err := s.enter(ctx); err != nil {
		return runtime.Status{}, err
	}
	status, ready, err := s.exec(ctx, c, sink)
	if ready {
		s.leave()
		return status, err
	}
	// A sink may be stuck until its caller has the answer.
	s.reg.tasks.Go(func() {
		defer s.leave()
		s.shell.rest()
	})
	return status, err
}

// exec runs a command. It returns as soon as nothing more can change the answer,
// and says whether the shell is ready for the next command then: otherwise what
// was written until now is still to be read.
func (s *Session) exec(ctx context.Context, c Command, sink Sink) (status runtime.Status, ready bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(s.closedError()) })()
	if c.Timeout > 0 {
		defer time.AfterFunc(c.Timeout, func() { cancel(errTimeout) }).Stop()
	}
	sh := s.shell
	if sh.hasExited() {
		s.end(sh.epitaph())
		return status, true, s.closedError()
	}
	sh.attach(sink, cancel)
	defer sh.attach(nil, nil)
	began, start := bootTime(), time.Now()
	sh.begin()
	denials := s.run.Record()
	defer denials()
	sh.seq++
	r, err := sh.tell(ctx, sh.dialect.command(sh.channel.key, sh.seq, line{c.Text, sh.last.code, sh.last.flags}))
	code := r.code
	if err == nil && r.revived {
		err = s.revive(r)
	}
	switch {
	case err == nil:
		sh.last.code = code
		if !s.rest() {
			return status, false, s.closedError()
		}
		status = runtime.Status{Code: code, Duration: time.Since(start), OOM: sh.outOfMemory()}
		status.Denials, status.More = denials()
		return status, true, failure(ctx)
	case s.life.Err() != nil:
		sh.detach()
		return status, false, s.closedError()
	case sh.hasExited():
		if sh.failed == nil && !s.rest() {
			return status, false, s.closedError()
		}
		s.end(sh.epitaph())
		status = sh.status
		status.Duration, status.OOM = time.Since(start), sh.outOfMemory()
		status.Denials, status.More = denials()
		return status, false, sh.failed
	case ctx.Err() != nil:
		sh.detach()
		return status, false, s.giveUp(context.Cause(ctx), c.Timeout, began)
	default:
		sh.detach()
		s.end(err.Error())
		return status, false, s.closedError()
	}
}

// rest is shell.rest, which takes as long as the sink does. It reports false if
// the session ends first; the sink gets nothing more then.
func (s *Session) rest() bool {
	sh, rested := s.shell, make(chan struct{})
	s.reg.tasks.Go(func() {
		defer close(rested)
		sh.rest()
	})
	select {
	case <-rested:
		return true
	case <-s.life.Done():
		sh.detach()
		return false
	}
}

// revive is shell.revive in the time that a shell has for it.
func (s *Session) revive(r report) error {
	ctx, cancel := context.WithTimeoutCause(s.life, openPatience, ErrSilent)
	defer cancel()
	err := s.shell.revive(ctx, r)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// failure is why a command that has ended did not do so in time for its caller.
func failure(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, errTimeout) {
		return err
	}
	return nil
}

// giveUp interrupts the command, and ends the session where that does not work.
func (s *Session) giveUp(cause error, timeout, began time.Duration) error {
	var closed string
	if err := s.shell.interrupt(began); err != nil {
		closed = "the shell could not be interrupted: " + err.Error()
		if s.shell.hasExited() {
			closed = s.shell.epitaph()
		}
		s.end(closed)
	}
	if errors.Is(cause, errTimeout) {
		return &TimeoutError{Timeout: timeout, Closed: closed}
	}
	return cause
}
