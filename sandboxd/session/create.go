package session

import (
	"context"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

// Params is what a session is made from.
type Params struct {
	// Shell is bash, sh, dash, ksh or zsh, or the absolute path of one.
	Shell string
	// Env is the whole environment, Dir where the shell starts.
	Env []string
	Dir string
	// Idle closes the session after this long without a command; zero means
	// DefaultIdle.
	Idle time.Duration
	// Caller and RequestID make creation idempotent; an empty id: it is not.
	Caller    uint32
	RequestID string
}

type requestKey struct {
	caller      uint32
	sandbox, id string
}

// creation is a session being made, for others with the same request to wait.
type creation struct {
	done chan struct{} // closed when the two below are set
	s    *Session
	err  error
}

// Create starts a shell in a sandbox. With a RequestID that its caller used
// before for this sandbox, it returns the session made then, if that is still
// known.
//
// A *sandbox.LimitError means that there are too many, ErrShell that the shell
// is none, a *runtime.ExecError that the sandbox does not have it.
func (r *Registry) Create(ctx context.Context, run *sandbox.Run, p Params) (*Session, error) {
	d, err := dialectOf(p.Shell)
	if err != nil {
		return nil, err
	}
	if p.RequestID == "" {
		return r.create(ctx, run, p, d)
	}
	key := requestKey{p.Caller, run.Sandbox().Info().ID, p.RequestID}
	for {
		r.mu.Lock()
		c := r.requests[key]
		if c == nil {
			c = &creation{done: make(chan struct{})}
			if r.requests == nil {
				r.requests = make(map[requestKey]*creation)
			}
			r.requests[key] = c
			r.mu.Unlock()
			s, err := r.create(ctx, run, p, d)
			r.mu.Lock()
			if c.s, c.err = s, err; err != nil {
				delete(r.requests, key)
			}
			r.mu.Unlock()
			close(c.done)
			return s, err
		}
		r.mu.Unlock()
		select {
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if c.err == nil {
			return c.s, nil
		}
		// The other attempt failed; this one is on its own.
	}
}

func (r *Registry) create(ctx context.Context, run *sandbox.Run, p Params, d dialect) (*Session, error) {
	in := run.Sandbox().Info()
	if err := r.reserve(in.Owner, in.ID); err != nil {
		return nil, err
	}
	bound, cancel := run.Bind(ctx)
	defer cancel()
	// Not by Run.Exec: a shell that waits is no command that runs, and each of
	// its commands has its own denials.
	shell, err := openShell(bound, run.Instance, runtime.Command{Argv: d.argv(p.Shell), Env: p.Env, Dir: p.Dir}, d, run.Pass, &r.tasks)
	if err != nil {
		r.release(in.Owner, in.ID)
		if bound.Err() != nil {
			err = context.Cause(bound)
		}
		return nil, err
	}
	shell.channel.hold = func(n int) bool { return r.holdState(in.Owner, n) }
	if p.Idle == 0 {
		p.Idle = DefaultIdle
	}
	s := &Session{
		reg: r, run: run, shell: shell, turn: make(chan struct{}, 1), gone: make(chan struct{}),
		info: Info{
			ID: newID(), Sandbox: in.ID, Owner: in.Owner, Shell: p.Shell, PID: shell.proc.PID(),
			Idle: p.Idle, Created: time.Now().UTC(),
		},
	}
	s.life, s.over = context.WithCancel(context.Background())
	s.timer = time.AfterFunc(p.Idle, s.expire)
	r.mu.Lock()
	stopped := r.stopped
	if !stopped {
		if r.known == nil {
			r.known = make(map[string]*Session)
		}
		r.known[s.info.ID] = s
		r.tasks.Go(func() { s.watch(shell) })
	}
	r.mu.Unlock()
	if stopped {
		s.timer.Stop()
		s.over()
		shell.close()
		r.release(in.Owner, in.ID)
		return nil, ErrStopped
	}
	return s, nil
}
