package api

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/process"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

const (
	// spawnPatience is how long a process may take to start once its request
	// goes on without the client.
	spawnPatience = 30 * time.Second
	// maxCommandShown is how much of a command a Process message has.
	maxCommandShown = 512
	// maxOwnerInput bounds what the processes of one owner were given to read
	// when they began, which stays in memory until they end.
	maxOwnerInput = 64 << 20
)

// Spawn starts a command in the background.
func (s *Server) Spawn(ctx context.Context, req *sandboxv1.SpawnRequest) (*sandboxv1.Process, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if req.GetExec() == nil {
		return nil, missing("exec")
	}
	if err := checkName("request_id", req.GetRequestId(), maxRequestID); err != nil {
		return nil, err
	}
	sb, err := s.find(ctx, req.GetExec().GetSandboxId())
	if err != nil {
		return nil, err
	}
	key := process.Request{Caller: c.UID, SandboxID: sb.Info().ID, ID: req.GetRequestId()}
	p, err := s.processes.Once(ctx, key, func() (*process.Process, error) {
		if key.ID == "" {
			return s.spawn(ctx, req)
		}
		// The client may be gone before the answer, and ask again.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), spawnPatience)
		defer cancel()
		return s.spawn(own, req)
	})
	if err != nil {
		return nil, err
	}
	return wireProcess(p), nil
}

// spawn starts a command that belongs to its sandbox, not to a call.
func (s *Server) spawn(ctx context.Context, req *sandboxv1.SpawnRequest) (*process.Process, error) {
	cmd, err := s.command(ctx, req.GetExec())
	if err != nil {
		return nil, err
	}
	info := cmd.run.Sandbox().Info()
	release, err := s.inputs.take(info.Owner, len(cmd.stdin), maxOwnerInput)
	if err != nil {
		return nil, err
	}
	j, err := s.begin(ctx, cmd, req.GetOpenStdin())
	if err != nil {
		release()
		return nil, err
	}
	p := &process.Process{
		ID: process.NewID(), SandboxID: info.ID, Command: clip(cmd.text, maxCommandShown), Started: time.Now(),
		Running: j.proc, Output: process.NewOutput(info.Owner, s.outputs),
	}
	if req.GetOpenStdin() {
		p.Input = process.NewInput(cmd.stdin, j.fed)
		j.feed.Go(func() { j.feedFrom(p.Input.Pieces()) })
	} else {
		j.feedAll()
	}
	s.processes.Add(p, cmd.run.AfterEnd)
	s.tasks.Go(func() {
		defer release()
		s.tend(j, p)
	})
	return p, nil
}

// tend passes on what a process prints until it has ended, and then commits.
func (s *Server) tend(j *job, p *process.Process) {
	s.tasks.Go(func() {
		<-j.ended
		p.Output.Drain()
	})
	ctx := context.Background()
	status, err := j.run(ctx, func(typ sandboxv1.ExecOutput_OutputType, b []byte) error {
		p.Output.Write(streamOf(typ), b)
		return nil
	})
	end := s.settle(ctx, j.cmd, status, err)
	if err != nil { // of the sandbox; there is no status
		p.Output.End(end)
		s.processes.Forget(p)
		return
	}
	if end != nil {
		s.cfg.Log.Info("a process has ended in an error", "sandbox", p.SandboxID, "process", p.ID, "error", end)
	}
	s.processes.End(p, process.Exit{Status: status, Err: end})
}

func streamOf(typ sandboxv1.ExecOutput_OutputType) process.Stream {
	if typ == sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR {
		return process.Stderr
	}
	return process.Stdout
}

func wireStream(s process.Stream) sandboxv1.ExecOutput_OutputType {
	if s == process.Stderr {
		return sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR
	}
	return sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT
}

// wireProcess leaves the denials out: the answer to a list must not grow with
// them.
func wireProcess(p *process.Process) *sandboxv1.Process {
	w := &sandboxv1.Process{
		Id: p.ID, SandboxId: p.SandboxID, Pid: int32(p.Running.PID()), Command: p.Command,
		StartedAt: timestamppb.New(p.Started), Pty: terminalOf(p) != nil,
	}
	if exit := p.Exit(); exit != nil {
		w.Exit = wireExit(exit.Status, nil)
		w.Exit.Denials, w.Exit.DenialsOmitted = nil, 0
	} else {
		w.OpenStdin = p.Input.Open()
	}
	return w
}

func terminalOf(p *process.Process) runtime.Terminal { return p.Running.Terminal() }
