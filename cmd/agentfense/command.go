package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const (
	// stdinChunk is how much of standard input goes into one message.
	stdinChunk = 32 << 10
	// killPatience is how long a kill, or a signal stuck behind standard input
	// that nobody reads, may take before the call itself is cancelled.
	killPatience = 3 * time.Second
)

var (
	errKilled   = errors.New("killed")
	errNoResult = errors.New("the daemon ended the command's stream without a result")
)

// outputError is a failure to pass on the command's output.
type outputError struct{ err error }

func (e *outputError) Error() string { return fmt.Sprintf("cannot write the output: %v", e.err) }
func (e *outputError) Unwrap() error { return e.err }

// sendError is a message that could not be sent.
type sendError struct{ err error }

func (e *sendError) Error() string { return fmt.Sprintf("cannot send to the daemon: %v", e.err) }
func (e *sendError) Unwrap() error { return e.err }

// leftError means that we left a command that goes on.
type leftError struct{ code int }

func (e *leftError) Error() string { return "detached" }

// command is one program in a sandbox with our standard streams and signals.
type command struct {
	open func(ctx context.Context) (call, error)
	// stdin is nil for an empty one; that of a command which is not ours stays
	// as it is then.
	stdin          *os.File
	stdout, stderr io.Writer
	signals        <-chan os.Signal
	// screen is the terminal that we pass on; nil: none.
	screen *screen
	// attached says that the command is not ours to end.
	attached bool
}

// executing is what opens a command that ends with us.
func executing(c *client, request *sandboxv1.ExecRequest) func(context.Context) (call, error) {
	return func(ctx context.Context) (call, error) {
		stream, err := c.sandboxes.ExecInteractive(ctx)
		return execCall{stream, request}, err
	}
}

// run returns when the command has ended. Cancelling the call, which it does
// if the command resists a kill, makes the daemon end the command.
func (c *command) run(ctx context.Context) (*sandboxv1.ExecExit, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stream, err := c.open(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if err := c.screen.begin(); err != nil {
		cancel(nil)
		return nil, err
	}
	defer c.screen.end()
	send := &sender{call: stream, urgent: make(chan step), input: make(chan step)}
	done := make(chan struct{}, 3)
	goDone := func(f func()) { go func() { f(); done <- struct{}{} }() }
	goDone(func() { send.run(ctx, cancel, step{start: true}) })
	goDone(func() { c.pumpStdin(ctx, send, cancel) })
	goDone(func() { c.forwardSignals(ctx, send, cancel) })

	exit, err := c.receive(stream)
	cause := context.Cause(ctx)
	cancel(nil)
	for range cap(done) {
		<-done
	}
	var unsent *sendError
	var left *leftError
	switch {
	case err == nil:
		return exit, nil
	case errors.As(cause, &left):
		return nil, left
	case errors.Is(cause, errKilled):
		return &sandboxv1.ExecExit{ExitCode: codeSignalBase + int32(syscall.SIGKILL), Signal: int32(syscall.SIGKILL)}, nil
	case errors.As(cause, &unsent):
		return nil, unsent
	}
	return nil, err
}

// receive passes the output on until the command's end, which the daemon may
// have to say more about than its exit.
func (c *command) receive(stream call) (exit *sandboxv1.ExecExit, err error) {
	for {
		out, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && exit != nil:
			return exit, nil
		case errors.Is(err, io.EOF):
			return nil, errNoResult
		case err != nil:
			return nil, err
		}
		if out.GetLost() > 0 {
			fmt.Fprintf(c.stderr, "agentfense: %d bytes of output were dropped here: nobody was attached%s", out.GetLost(), c.screen.newline())
		}
		if len(out.GetData()) > 0 {
			w := c.stdout
			if out.GetType() == sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR {
				w = c.stderr
			}
			if _, err := w.Write(out.GetData()); err != nil {
				return nil, &outputError{err}
			}
		}
		if out.GetExit() != nil {
			exit = out.GetExit()
		}
	}
}

// pumpStdin sends standard input, and its end.
func (c *command) pumpStdin(ctx context.Context, send *sender, cancel context.CancelCauseFunc) {
	if c.stdin == nil {
		if !c.attached {
			send.data(ctx, step{closeStdin: true})
		}
		return
	}
	in, err := newInput(ctx, c.stdin)
	if err == nil {
		defer in.Close()
		keys := detachKeys{on: c.attached && c.screen.isRaw()}
		for {
			buf := make([]byte, stdinChunk)
			n, err := in.Read(buf)
			data, leave := keys.filter(buf[:n])
			if len(data) > 0 && !send.data(ctx, step{stdin: data}) {
				return
			}
			if leave {
				cancel(&leftError{})
				return
			}
			if err != nil {
				break
			}
		}
	}
	if ctx.Err() == nil {
		send.data(ctx, step{closeStdin: true})
	}
}

// forwardSignals sends on what we get. The second interrupt kills, or leaves a
// command that is not ours. Whoever hangs up on a terminal is gone.
func (c *command) forwardSignals(ctx context.Context, send *sender, cancel context.CancelCauseFunc) {
	interrupts := 0
	var giveUp <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-giveUp:
			cancel(errKilled)
			return
		case <-c.screen.changed():
			if size := c.screen.size(); size != nil && !send.urgently(ctx, step{resize: size}) {
				cancel(errKilled)
				return
			}
		case sig := <-c.signals:
			number := sig.(syscall.Signal)
			if number == syscall.SIGINT {
				interrupts++
			}
			hungUp := number == syscall.SIGHUP && (c.attached || c.screen != nil)
			switch {
			case hungUp, interrupts >= 2 && c.attached:
				cancel(&leftError{codeSignalBase + int(number)})
				return
			case interrupts >= 2:
				number = syscall.SIGKILL
				giveUp = time.After(killPatience)
			}
			if !send.urgently(ctx, step{signal: number}) {
				cancel(errKilled)
				return
			}
		}
	}
}

// sender is the one place that sends on the stream, signals before input.
type sender struct {
	call          call
	urgent, input chan step
}

func (s *sender) run(ctx context.Context, cancel context.CancelCauseFunc, first step) {
	msg := first
	for {
		if err := s.call.send(msg); err != nil {
			if !errors.Is(err, io.EOF) { // then Recv has the status of the call
				cancel(&sendError{err})
			}
			return
		}
		select {
		case msg = <-s.urgent:
			continue
		default:
		}
		select {
		case msg = <-s.urgent:
		case msg = <-s.input:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sender) data(ctx context.Context, msg step) bool {
	select {
	case s.input <- msg:
		return true
	case <-ctx.Done():
		return false
	}
}

// urgently is false if the message could not be sent in time.
func (s *sender) urgently(ctx context.Context, msg step) bool {
	t := time.NewTimer(killPatience)
	defer t.Stop()
	select {
	case s.urgent <- msg:
		return true
	case <-ctx.Done():
		return true
	case <-t.C:
		return false
	}
}
