package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// signalError is the signal that ended us before or beside a command.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return fmt.Sprintf("ended by %v", e.signal) }

// signals catches what a user or a supervisor may send. What was ignored when
// we started, as nohup does with SIGHUP, stays ignored.
type signals struct{ ch chan os.Signal }

func catchSignals() *signals {
	s := &signals{ch: make(chan os.Signal, 16)}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(sig) {
			signal.Notify(s.ch, sig)
		}
	}
	return s
}

func (s *signals) stop() { signal.Stop(s.ch) }

// during runs f with a context that the first signal cancels. If f then fails,
// the error is a *signalError.
func (s *signals) during(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case sig := <-s.ch:
			cancel(&signalError{sig.(syscall.Signal)})
		case <-done:
		}
	}()
	err := f(ctx)
	close(done)
	<-finished
	sig, caught := errors.AsType[*signalError](context.Cause(ctx))
	cancel(nil)
	if caught {
		return sig
	}
	return err
}
