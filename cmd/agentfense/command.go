package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"

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

// command runs one program in a sandbox with our standard streams and signals.
type command struct {
	client         sandboxv1.SandboxServiceClient
	start          *sandboxv1.ExecRequest
	stdin          *os.File
	stdout, stderr io.Writer
	signals        <-chan os.Signal
}

type execStream = grpc.BidiStreamingClient[sandboxv1.ExecInput, sandboxv1.ExecOutput]

// run returns when the command has ended. Cancelling the call, which it does
// if the command resists a kill, makes the daemon end the command.
func (c *command) run(ctx context.Context) (*sandboxv1.ExecExit, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stream, err := c.client.ExecInteractive(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	send := &sender{stream: stream, urgent: make(chan *sandboxv1.ExecInput), input: make(chan *sandboxv1.ExecInput)}
	done := make(chan struct{}, 3)
	goDone := func(f func()) { go func() { f(); done <- struct{}{} }() }
	goDone(func() { send.run(ctx, cancel, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: c.start}}) })
	goDone(func() { c.pumpStdin(ctx, send) })
	goDone(func() { c.forwardSignals(ctx, send, cancel) })

	exit, err := c.receive(stream)
	cause := context.Cause(ctx)
	cancel(nil)
	for range cap(done) {
		<-done
	}
	var unsent *sendError
	switch {
	case err == nil:
		return exit, nil
	case errors.Is(cause, errKilled):
		return &sandboxv1.ExecExit{ExitCode: codeSignalBase + int32(syscall.SIGKILL), Signal: int32(syscall.SIGKILL)}, nil
	case errors.As(cause, &unsent):
		return nil, unsent
	}
	return nil, err
}

// receive passes the output on until the command's end.
func (c *command) receive(stream execStream) (*sandboxv1.ExecExit, error) {
	for {
		out, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errNoResult
		}
		if err != nil {
			return nil, err
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
			return out.GetExit(), nil
		}
	}
}

// pumpStdin sends standard input, and its end.
func (c *command) pumpStdin(ctx context.Context, send *sender) {
	in, err := newInput(ctx, c.stdin)
	if err == nil {
		defer in.Close()
		for {
			buf := make([]byte, stdinChunk)
			n, err := in.Read(buf)
			if n > 0 && !send.data(ctx, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: buf[:n]}}) {
				return
			}
			if err != nil {
				break
			}
		}
	}
	if ctx.Err() == nil {
		send.data(ctx, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}})
	}
}

// forwardSignals sends on what we get. The second interrupt kills.
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
		case sig := <-c.signals:
			number := sig.(syscall.Signal)
			if number == syscall.SIGINT {
				interrupts++
			}
			if interrupts >= 2 {
				number = syscall.SIGKILL
				giveUp = time.After(killPatience)
			}
			if !send.signal(ctx, number) {
				cancel(errKilled)
				return
			}
		}
	}
}

// sender is the one place that sends on the stream, signals before input.
type sender struct {
	stream        execStream
	urgent, input chan *sandboxv1.ExecInput
}

func (s *sender) run(ctx context.Context, cancel context.CancelCauseFunc, first *sandboxv1.ExecInput) {
	msg := first
	for {
		if err := s.stream.Send(msg); err != nil {
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

func (s *sender) data(ctx context.Context, msg *sandboxv1.ExecInput) bool {
	select {
	case s.input <- msg:
		return true
	case <-ctx.Done():
		return false
	}
}

// signal is false if the signal could not be sent in time.
func (s *sender) signal(ctx context.Context, sig syscall.Signal) bool {
	t := time.NewTimer(killPatience)
	defer t.Stop()
	select {
	case s.urgent <- &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Signal{Signal: int32(sig)}}:
		return true
	case <-ctx.Done():
		return true
	case <-t.C:
		return false
	}
}
