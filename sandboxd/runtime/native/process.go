package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

const (
	// killPatience is how long a killed tree may take to end before the sandbox is
	// ended instead. On a busy host a worker may wait that long for a CPU.
	killPatience = 30 * time.Second
	// killHurry is how long a sandbox in which something is ended does not yield.
	killHurry = 5 * time.Second
)

// Process is one command in a sandbox.
type Process struct {
	instance *Instance
	id       uint32
	started  chan error    // one value
	exited   chan struct{} // closed after status and err are set
	oomKills uint64        // before it began
	terminal *terminal     // nil if it has none

	mu       sync.Mutex
	pid      int
	timer    *time.Timer
	timedOut bool
	// interrupted is closed at the answer to Interrupt; nil: none is awaited.
	interrupted chan struct{}
	over        bool
	status      runtime.Status
	err         error
}

var (
	_ runtime.Process     = (*Process)(nil)
	_ runtime.Interrupter = (*Process)(nil)
)

// A command that finds no room for another process is started again after a
// pause, first the one and last the other: what was killed a moment ago takes
// its room until it has been reaped.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = 128 * time.Millisecond
)

// Exec starts a command and returns once it runs.
func (i *Instance) Exec(ctx context.Context, c runtime.Command) (runtime.Process, error) {
	for pause := firstPause; ; pause *= 2 {
		p, err := i.exec(ctx, c)
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, syscall.EAGAIN) || pause > lastPause {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (i *Instance) exec(ctx context.Context, c runtime.Command) (_ *Process, err error) {
	p := &Process{instance: i, started: make(chan error, 1), exited: make(chan struct{})}
	p.oomKills, _ = i.group.OOMKills() // without it an OOM is only not reported
	m := worker.Exec{Argv: c.Argv, Env: c.Env, Dir: c.Dir, Whole: c.Whole}
	files, err := p.files(c, &m)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && p.terminal != nil {
			p.terminal.Close()
		}
	}()
	id, err := i.begin(p, func(id uint32) worker.Message {
		p.id, m.ID = id, id
		return &m
	}, files...)
	if err != nil {
		return nil, err
	}
	p.limit(c.Timeout) // it may keep the worker from saying that it runs
	select {
	case err = <-p.started:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		_ = i.link.send(&worker.Kill{ID: id}) // runs on, at worst, until the sandbox ends
		return nil, ctx.Err()
	}
	p.relimit(c.Timeout)
	return p, nil
}

// files returns what is to be the command's standard streams.
func (p *Process) files(c runtime.Command, m *worker.Exec) (files []*os.File, err error) {
	if c.Terminal != nil {
		if p.terminal, err = openTerminal(p.instance.ptmx, *c.Terminal); err != nil {
			return nil, err
		}
		m.Terminal, m.Files = true, 0b111
		return []*os.File{p.terminal.near}, nil
	}
	for n, f := range []*os.File{c.Stdin, c.Stdout, c.Stderr} {
		if f != nil {
			m.Files |= 1 << n
			files = append(files, f)
		}
	}
	return files, nil
}

// limit arms the timeout, if the command still runs.
func (p *Process) limit(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d <= 0 || p.over {
		return
	}
	p.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		p.timedOut = !p.over
		p.mu.Unlock()
		_ = p.Kill() // it ends, or the sandbox does
	})
}

// relimit makes the timeout count from now on.
func (p *Process) relimit(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil && !p.over && !p.timedOut {
		p.timer.Reset(d)
	}
}

func (p *Process) receive(m worker.Message, files []*os.File) (bool, error) {
	if len(files) > 0 {
		return false, errors.New("file in answer to a command")
	}
	switch m := m.(type) {
	case *worker.Started:
		if p.PID() != 0 {
			return false, errors.New("command started twice")
		}
		if m.Errno != 0 {
			err := &runtime.ExecError{Op: m.Op, Path: m.Path, Errno: syscall.Errno(m.Errno)}
			p.started <- err
			p.finish(runtime.Status{}, err)
			return false, nil
		}
		if m.PID == 0 {
			return false, errors.New("command without process id")
		}
		p.mu.Lock()
		p.pid = int(m.PID)
		p.mu.Unlock()
		p.started <- nil
		return true, nil
	case *worker.Interrupted:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.interrupted == nil {
			return false, errors.New("answer to no interruption")
		}
		close(p.interrupted)
		p.interrupted = nil
		return true, nil
	case *worker.Exited:
		if p.PID() == 0 {
			return false, errors.New("command ended before it started")
		}
		p.finish(statusOf(m), nil)
		return false, nil
	}
	return false, errors.New("wrong answer to a command")
}

func statusOf(m *worker.Exited) runtime.Status {
	ws := syscall.WaitStatus(m.Status)
	s := runtime.Status{Code: ws.ExitStatus(), Duration: time.Duration(m.Duration)}
	if ws.Signaled() {
		s.Signal = ws.Signal()
		s.Code = 128 + int(s.Signal)
	}
	return s
}

func (p *Process) abandon() {
	select {
	case p.started <- runtime.ErrEnded:
	default:
	}
	p.finish(runtime.Status{}, runtime.ErrEnded)
}

func (p *Process) finish(s runtime.Status, err error) {
	kills, _ := p.instance.group.OOMKills()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.terminal != nil {
		p.terminal.hangUp()
	}
	s.TimedOut = p.timedOut
	s.OOM = kills > p.oomKills
	p.status, p.err = s, err
	close(p.exited)
}

// PID is the command's process id inside the sandbox.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Terminal is the far side of the command's terminal.
func (p *Process) Terminal() runtime.Terminal {
	if p.terminal == nil {
		return nil
	}
	return p.terminal
}

// Signal sends sig to the command's process group, or as its terminal would. A
// command that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if sig <= 0 || sig > 64 {
		return fmt.Errorf("cannot send signal %d: %w", sig, syscall.EINVAL)
	}
	if p.terminal != nil && p.terminal.signal(sig) {
		return nil
	}
	return p.instance.tell(&worker.Signal{ID: p.id, Number: uint32(sig)})
}

// Kill ends the command and all that descends from it. Where that fails, the
// whole sandbox ends.
func (p *Process) Kill() error {
	p.instance.group.Hurry(killHurry)
	err := p.instance.tell(&worker.Kill{ID: p.id})
	time.AfterFunc(killPatience, func() {
		select {
		case <-p.exited:
		default:
			p.instance.end(errors.New("a command could not be killed"))
		}
	})
	return err
}

// Began says so to the sandbox's group.
func (p *Process) Began() { p.instance.group.Began() }

// OOMKills counts the kills of the whole sandbox.
func (p *Process) OOMKills() uint64 {
	kills, _ := p.instance.group.OOMKills() // without it an OOM is only not reported
	return kills
}

// Interrupt does what c says. Only one can be under way.
func (p *Process) Interrupt(ctx context.Context, c runtime.Interruption) error {
	done := make(chan struct{})
	p.mu.Lock()
	if p.interrupted != nil {
		p.mu.Unlock()
		return errors.New("the command is being interrupted already")
	}
	p.interrupted = done
	p.mu.Unlock()
	p.instance.group.Hurry(killHurry)
	err := p.instance.tell(&worker.Interrupt{ID: p.id, Number: uint32(c.Signal), Since: int64(c.Since), Mark: c.Mark})
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-p.exited:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Wait returns when the command has ended.
func (p *Process) Wait(ctx context.Context) (runtime.Status, error) {
	select {
	case <-p.exited:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.status, p.err
	case <-ctx.Done():
		return runtime.Status{}, ctx.Err()
	}
}

// tell sends a message that has no answer.
func (i *Instance) tell(m worker.Message) error {
	err := i.link.send(m)
	if errors.Is(err, errClosed) {
		return runtime.ErrEnded
	}
	if err != nil {
		i.end(err)
	}
	return err
}
