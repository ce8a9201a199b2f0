package api

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/process"
)

type attachStream = grpc.BidiStreamingServer[sandboxv1.AttachInput, sandboxv1.ExecOutput]

// Attach shows what a process prints, and takes its input. The end of the call
// leaves the process running.
func (s *Server) Attach(stream attachStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetAttach() == nil {
		return fail(codes.InvalidArgument, ReasonUnexpectedStep, "the first message must be attach")
	}
	p, rules, err := s.process(stream.Context(), first.GetAttach().GetProcessId())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	reader := p.Output.Attach()
	// A client that does not read must not keep the next one waiting: sending
	// ends when this handler has, and what was not sent is put back.
	shown := make(chan error, 1)
	s.tasks.Go(func() {
		defer reader.Close()
		shown <- show(ctx, p, rules, reader, stream)
	})
	s.tasks.Go(func() {
		if err := hear(ctx, p, stream); err != nil {
			cancel(err)
		}
	})
	select {
	case err := <-shown:
		return err
	case <-reader.Taken():
		return takenOver(p)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func takenOver(p *process.Process) error {
	return fail(codes.Aborted, ReasonTakenOver, "%v", process.ErrTakenOver).with(keyProcess, p.ID)
}

// show sends what a process prints, and in the end how it ended.
func show(ctx context.Context, p *process.Process, rules []policy.Rule, reader *process.Reader, stream attachStream) error {
	err := stream.Send(&sandboxv1.ExecOutput{Started: &sandboxv1.ExecStarted{Pid: int32(p.Running.PID())}})
	if err != nil {
		return err
	}
	for {
		c, err := reader.Next(ctx)
		switch {
		case errors.Is(err, process.ErrTakenOver):
			return takenOver(p)
		case errors.Is(err, io.EOF):
			return showExit(p, rules, stream)
		case err != nil:
			return err
		}
		if err := stream.Send(&sandboxv1.ExecOutput{Type: wireStream(c.Stream), Data: c.Data, Lost: c.Lost}); err != nil {
			reader.Unread(c)
			return err
		}
	}
}

func showExit(p *process.Process, rules []policy.Rule, stream attachStream) error {
	exit := p.Exit()
	if err := stream.Send(&sandboxv1.ExecOutput{Exit: wireExit(exit.Status, rules)}); err != nil {
		return err
	}
	return exit.Err
}

// hear passes on what the client sends until it is done sending, or gone.
func hear(ctx context.Context, p *process.Process, stream attachStream) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch step := m.GetStep().(type) {
		case *sandboxv1.AttachInput_Stdin:
			err = inputError(p, p.Input.Send(ctx, step.Stdin))
		case *sandboxv1.AttachInput_CloseStdin:
			err = inputError(p, p.Input.Close(ctx))
		case *sandboxv1.AttachInput_Signal:
			sig, serr := signalOf(step.Signal)
			if serr != nil {
				return serr
			}
			err = signalProcess(p, sig)
		case *sandboxv1.AttachInput_Resize:
			err = resize(terminalOf(p), step.Resize)
		default:
			err = fail(codes.InvalidArgument, ReasonUnexpectedStep, "only the first message is attach")
		}
		if err != nil {
			return err
		}
	}
}

// inputError explains why a process takes no input. One that has ended does not
// complain, as a pipe would not to who wrote before.
func inputError(p *process.Process, err error) error {
	if err == nil || p.Exit() != nil {
		return nil
	}
	return fail(codes.InvalidArgument, ReasonUnexpectedStep, "process %s takes no input: %v; spawn it with open_stdin, and send no close_stdin", p.ID, err).
		with(keyProcess, p.ID)
}
