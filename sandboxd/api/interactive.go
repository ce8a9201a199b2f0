package api

import (
	"context"
	"errors"
	"io"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/process"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

const maxSignal = 64

// ExecInteractive runs a command whose standard input and signals come from
// the client.
func (s *Server) ExecInteractive(stream grpc.BidiStreamingServer[sandboxv1.ExecInput, sandboxv1.ExecOutput]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil {
		return fail(codes.InvalidArgument, ReasonUnexpectedStep, "the first message must be start")
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	cmd, err := s.command(ctx, first.GetStart())
	if err != nil {
		return err
	}
	j, err := s.begin(ctx, cmd, true)
	if err != nil {
		return err
	}
	out := &outputs{stream: stream}
	input := process.NewInput(nil, j.fed)
	j.feed.Go(func() { j.feedFrom(input.Pieces()) })
	// Recv returns when the handler has, so this one is waited for in Close.
	stdin := cmd.stdin
	j.cmd.stdin = nil
	s.tasks.Go(func() {
		_ = input.Send(ctx, stdin) // nobody has closed it yet
		stdin = nil
		if err := j.listen(ctx, stream, input); err != nil {
			cancel(err)
		}
	})
	if err := out.send(&sandboxv1.ExecOutput{Started: &sandboxv1.ExecStarted{Pid: int32(j.proc.PID())}}); err != nil {
		cancel(err)
	}
	status, err := j.run(ctx, out.output)
	if err := s.settle(ctx, j.cmd, status, err); err != nil {
		return err
	}
	return out.exit(status, j.cmd.rules())
}

// feedFrom writes pieces to the command until there are no more, or the
// command does not want them.
func (j *job) feedFrom(pieces <-chan []byte) {
	defer close(j.fed)
	defer j.stdin.Close()
	for {
		select {
		case b := <-pieces:
			if len(b) == 0 { // end of input
				return
			}
			if _, err := j.stdin.Write(b); err != nil {
				return
			}
		case <-j.ended:
			return
		}
	}
}

// listen passes on what the client sends until it is done sending. The error
// is what was wrong with that.
func (j *job) listen(ctx context.Context, stream grpc.BidiStreamingServer[sandboxv1.ExecInput, sandboxv1.ExecOutput], input *process.Input) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			_ = input.Close(ctx) // it may be already
			return nil
		}
		if err != nil {
			return err
		}
		switch step := m.GetStep().(type) {
		case *sandboxv1.ExecInput_Stdin:
			if input.Send(ctx, step.Stdin) != nil {
				return fail(codes.InvalidArgument, ReasonUnexpectedStep, "stdin after close_stdin")
			}
		case *sandboxv1.ExecInput_CloseStdin:
			_ = input.Close(ctx) // likewise
		case *sandboxv1.ExecInput_Signal:
			if err := j.signal(step.Signal); err != nil {
				return err
			}
		case *sandboxv1.ExecInput_Resize:
			if err := resize(j.term, step.Resize); err != nil {
				return err
			}
		default:
			return fail(codes.InvalidArgument, ReasonUnexpectedStep, "only the first message is start")
		}
	}
}

func (j *job) signal(n int32) error {
	sig, err := signalOf(n)
	if err != nil {
		return err
	}
	err = j.proc.Signal(sig)
	if errors.Is(err, runtime.ErrEnded) || errors.Is(err, syscall.ESRCH) {
		return nil // it just ended
	}
	return err
}

func signalOf(n int32) (syscall.Signal, error) {
	if n < 1 || n > maxSignal {
		return 0, invalid("signal", "%d is not a signal", n)
	}
	return syscall.Signal(n), nil
}
