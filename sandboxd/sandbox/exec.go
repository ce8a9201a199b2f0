package sandbox

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// shells are what may run a command string, best first. The last one is taken
// without looking.
var shells = []string{"/bin/bash", "/bin/sh"}

// Environ is the environment of every command, in which a request's own
// variables replace these.
var Environ = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/home/agent",
	"USER=agent",
	"LOGNAME=agent",
	"LANG=C.UTF-8",
	"TERM=dumb",
	"TMPDIR=/tmp",
}

// Run is one running sandbox, as commands use it. It stays bound to the
// instance that ran when it was made.
type Run struct {
	runtime.Instance
	sandbox *Sandbox
	run     *running
}

// Run returns what runs, or a [StateError].
func (s *Sandbox) Run() (*Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		err := s.stateError()
		if state, ok := errors.AsType[*StateError](err); ok {
			state.Startable = state.Status == Pending || state.Status == Stopped
		}
		return nil, err
	}
	return &Run{s.run.inst, s, s.run}, nil
}

// Sandbox returns the sandbox that runs.
func (r *Run) Sandbox() *Sandbox { return r.sandbox }

// Bind returns a context that ends with ctx, and with the instance: its cause
// is then runtime.ErrEnded.
func (r *Run) Bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.run.life, func() { cancel(context.Cause(r.run.life)) })
	return ctx, func() { stop(); cancel(nil) }
}

// AfterEnd calls f, in a goroutine of its own, once the instance has ended or is
// about to. Stop prevents that, as that of context.AfterFunc does.
func (r *Run) AfterEnd(f func()) (stop func() bool) { return context.AfterFunc(r.run.life, f) }

// maxLinger bounds what background processes make the daemon hold open.
const maxLinger = 256

// Linger counts one more pipe that background processes of the sandbox hold
// open, or says that there are too many. Done uncounts it.
func (r *Run) Linger() (done func(), ok bool) {
	if r.run.lingering.Add(1) > maxLinger {
		r.run.lingering.Add(-1)
		return nil, false
	}
	return func() { r.run.lingering.Add(-1) }, true
}

// Shell returns the shell that the sandbox has. It looks once.
func (r *Run) Shell(ctx context.Context) (string, error) {
	r.run.shellMu.Lock()
	defer r.run.shellMu.Unlock()
	if r.run.shell != "" {
		return r.run.shell, nil
	}
	last := len(shells) - 1
	found := slices.IndexFunc(shells[:last], func(path string) bool {
		f, err := r.Open(ctx, path, os.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if err == nil {
			f.Close()
		}
		return err == nil
	})
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if found < 0 {
		found = last
	}
	r.run.shell = shells[found]
	return r.run.shell, nil
}
