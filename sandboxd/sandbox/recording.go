package sandbox

import (
	"context"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Recorder watches what sandboxes are refused.
type Recorder interface {
	// Watch watches the sandbox that a process leads.
	Watch(pid int, pol *policy.Policy) (Watch, error)
}

// Watch is one sandbox that is watched.
type Watch interface {
	// Begin opens a window. End closes it and returns its denials, and how many
	// failures it cannot tell about.
	Begin() (end func() (denials []policy.Denial, more uint64))
	// Close is called when nothing of the sandbox runs any more.
	Close() error
}

// record watches what the sandbox is refused; nil if nobody does.
func (s *Sandbox) record(pid int) Watch {
	if s.reg.cfg.Recorder == nil {
		return nil
	}
	w, err := s.reg.cfg.Recorder.Watch(pid, s.pol)
	if err != nil {
		s.reg.cfg.Log.Warn("the sandbox's denials are not told", "sandbox", s.info.ID, "error", err)
		return nil
	}
	return w
}

// stopRecording ends what record began.
func (r *running) stopRecording() {
	if r.recording != nil {
		_ = r.recording.Close() // what is left of it goes with the daemon
	}
}

// Record notes what the policy refuses in the sandbox until end, which returns
// it, and how many failures it cannot tell about.
func (r *Run) Record() (end func() (denials []policy.Denial, more uint64)) {
	if r.run.recording == nil {
		return func() ([]policy.Denial, uint64) { return nil, 0 }
	}
	return r.run.recording.Begin()
}

// Exec starts a command, as the instance does. The status that Wait returns
// holds what the policy refused meanwhile.
func (r *Run) Exec(ctx context.Context, c runtime.Command) (runtime.Process, error) {
	end := r.Record()
	p, err := r.Instance.Exec(ctx, c)
	if err != nil {
		end()
		return nil, err
	}
	r.sandbox.holdFor(p)
	return &recorded{p, end}, nil
}

// recorded is a command whose denials are noted.
type recorded struct {
	runtime.Process
	end func() ([]policy.Denial, uint64)
}

func (p *recorded) Wait(ctx context.Context) (runtime.Status, error) {
	status, err := p.Process.Wait(ctx)
	if err == nil || ctx.Err() == nil {
		status.Denials, status.More = p.end()
	}
	return status, err
}
