package main

import (
	"syscall"

	"google.golang.org/grpc"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// step is one message to a command; one of its fields is set.
type step struct {
	start      bool // the first
	stdin      []byte
	closeStdin bool
	signal     syscall.Signal
	resize     *sandboxv1.WindowSize
}

// call is a stream to a command: one that it runs for, or one attached to it.
type call interface {
	send(s step) error
	Recv() (*sandboxv1.ExecOutput, error)
}

// execCall runs a command.
type execCall struct {
	grpc.BidiStreamingClient[sandboxv1.ExecInput, sandboxv1.ExecOutput]
	request *sandboxv1.ExecRequest
}

func (c execCall) send(s step) error {
	in := &sandboxv1.ExecInput{}
	switch {
	case s.start:
		in.Step = &sandboxv1.ExecInput_Start{Start: c.request}
	case s.closeStdin:
		in.Step = &sandboxv1.ExecInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}
	case s.signal != 0:
		in.Step = &sandboxv1.ExecInput_Signal{Signal: int32(s.signal)}
	case s.resize != nil:
		in.Step = &sandboxv1.ExecInput_Resize{Resize: s.resize}
	default:
		in.Step = &sandboxv1.ExecInput_Stdin{Stdin: s.stdin}
	}
	return c.Send(in)
}

// attachCall is attached to a process.
type attachCall struct {
	grpc.BidiStreamingClient[sandboxv1.AttachInput, sandboxv1.ExecOutput]
	id string
}

func (c attachCall) send(s step) error {
	in := &sandboxv1.AttachInput{}
	switch {
	case s.start:
		in.Step = &sandboxv1.AttachInput_Attach{Attach: &sandboxv1.AttachRequest{ProcessId: c.id}}
	case s.closeStdin:
		in.Step = &sandboxv1.AttachInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}
	case s.signal != 0:
		in.Step = &sandboxv1.AttachInput_Signal{Signal: int32(s.signal)}
	case s.resize != nil:
		in.Step = &sandboxv1.AttachInput_Resize{Resize: s.resize}
	default:
		in.Step = &sandboxv1.AttachInput_Stdin{Stdin: s.stdin}
	}
	return c.Send(in)
}
