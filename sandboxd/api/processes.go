package api

import (
	"context"
	"errors"
	"os"
	"syscall"

	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/process"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// process returns a process that exists for the caller, and the rules of its
// sandbox.
func (s *Server) process(ctx context.Context, id string) (*process.Process, []policy.Rule, error) {
	if id == "" {
		return nil, nil, missing("process_id")
	}
	p := s.processes.Find(id)
	if p == nil {
		return nil, nil, noProcess(id)
	}
	sb, err := s.find(ctx, p.SandboxID)
	if err != nil {
		return nil, nil, noProcess(id)
	}
	return p, sb.Info().Rules, nil
}

func noProcess(id string) *failure {
	return fail(codes.NotFound, ReasonProcessNotFound, "process %s does not exist", id).with(keyProcess, id)
}

// GetProcess returns one process.
func (s *Server) GetProcess(ctx context.Context, req *sandboxv1.GetProcessRequest) (*sandboxv1.Process, error) {
	p, rules, err := s.process(ctx, req.GetProcessId())
	if err != nil {
		return nil, err
	}
	w := wireProcess(p)
	if exit := p.Exit(); exit != nil {
		w.Exit = wireExit(exit.Status, rules)
	}
	return w, nil
}

// ListProcesses returns the processes of a sandbox, oldest first.
func (s *Server) ListProcesses(ctx context.Context, req *sandboxv1.ListProcessesRequest) (*sandboxv1.ListProcessesResponse, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	resp := &sandboxv1.ListProcessesResponse{}
	for _, p := range s.processes.List(sb.Info().ID) {
		resp.Processes = append(resp.Processes, wireProcess(p))
	}
	return resp, nil
}

// SignalProcess signals a process.
func (s *Server) SignalProcess(ctx context.Context, req *sandboxv1.SignalProcessRequest) (*sandboxv1.Empty, error) {
	p, _, err := s.process(ctx, req.GetProcessId())
	if err != nil {
		return nil, err
	}
	sig, err := signalOf(req.GetSignal())
	if err != nil {
		return nil, err
	}
	if p.Exit() != nil {
		return nil, fail(codes.FailedPrecondition, ReasonCommandEnded, "process %s has ended", p.ID).
			with(keyProcess, p.ID).with(keySandbox, p.SandboxID)
	}
	if err := signalProcess(p, sig); err != nil {
		return nil, translate(err, about{sandbox: p.SandboxID}).with(keyProcess, p.ID)
	}
	return &sandboxv1.Empty{}, nil
}

// signalProcess is no error for a process that has just ended.
func signalProcess(p *process.Process, sig syscall.Signal) (err error) {
	if sig == syscall.SIGKILL {
		err = p.Running.Kill()
	} else {
		err = p.Running.Signal(sig)
	}
	if errors.Is(err, runtime.ErrEnded) || errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
