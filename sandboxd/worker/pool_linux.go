package worker

import (
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runnerIdle is how long a runner without work is kept.
const runnerIdle = 2 * time.Second

// pool holds PID 1's runners and says which command is whose.
type pool struct {
	up    *Conn
	adopt func(start func() (int, error)) error
	// orphaned ends what a runner that is gone has left since.
	orphaned func(since time.Duration)

	mu      sync.Mutex
	runners map[int]*runner // by pid
	idle    []*runner
}

// runner is one child that runs commands in a tree of its own.
type runner struct {
	conn     *Conn
	pid      int
	id       uint32        // of its command; 0: none
	since    time.Duration // of CLOCK_BOOTTIME: when it got that
	ready    bool          // the command may have begun
	answered bool          // the command was answered by Started
	gone     chan struct{} // closed when it has been reaped
	retired  bool          // its socket is closed, or will not be used again
	timer    *time.Timer
}

func newPool(up *Conn) *pool {
	return &pool{up: up, runners: map[int]*runner{}}
}

// start hands a command to a runner. That of a runner which cannot take it is
// answered by relay.
func (p *pool) start(m *Exec, raw []byte, files []int) error {
	r := p.take(m.ID)
	if r == nil {
		var err error
		if r, err = p.spawn(m.ID); err != nil {
			return p.up.Send(&Started{ID: m.ID, Op: "exec", Path: "runner", Errno: errnoOf(err)})
		}
	}
	p.send(r, raw, files)
	return nil
}

// send gives r a packet without ever waiting for it: the sandbox may have
// stopped it. A runner that does not keep up is given up.
func (p *pool) send(r *runner, raw []byte, files []int) {
	if r.conn.sendRaw(raw, files) != nil {
		_ = unix.Kill(r.pid, unix.SIGKILL) // it may have ended by now
		r.conn.Close()
	}
}

func (p *pool) take(id uint32) *runner {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		r := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		r.timer.Stop()
		if !r.retired {
			r.id, r.since, r.ready, r.answered = id, bootTime(), false, false
			return r
		}
	}
	return nil
}

// spawn starts a runner for command id.
func (p *pool) spawn(id uint32) (*runner, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[1])
	conn, err := newPolledConn(pair[0])
	if err != nil {
		return nil, err
	}
	r := &runner{conn: conn, id: id, since: bootTime(), gone: make(chan struct{})}
	err = p.adopt(func() (int, error) {
		pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(BinaryFD), []string{NameRunner}, &syscall.ProcAttr{
			Env:   serverEnv,
			Files: []uintptr{0, 1, 2, uintptr(pair[1]), BinaryFD},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		if err == nil {
			r.pid = pid
			p.mu.Lock()
			p.runners[pid] = r
			p.mu.Unlock()
		}
		return pid, err
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	go p.relay(r)
	return r, nil
}

// relay passes a runner's answers on to the daemon until it ends.
func (p *pool) relay(r *runner) {
	for p.pass(r) {
	}
	r.conn.Close()
	p.mu.Lock()
	r.retired = true
	id := r.id
	r.id = 0
	p.mu.Unlock()
	switch { // the sandbox killed its own runner, or left it no room to start
	case id == 0:
	case r.ready:
		p.killed(r, id)
	default:
		_ = p.up.Send(&Started{ID: id, Op: "exec", Path: "runner", Errno: uint32(unix.EAGAIN)})
	}
}

// killed ends the command of a runner that is gone, and says so. One that may
// have begun must not begin again.
func (p *pool) killed(r *runner, id uint32) {
	_ = unix.Kill(r.pid, unix.SIGKILL) // it may have closed its socket only
	<-r.gone
	p.orphaned(r.since)
	if !r.answered {
		_ = p.up.Send(&Started{ID: id, PID: uint32(r.pid)}) // the command's own is not known
	}
	_ = p.up.Send(&Exited{ID: id, Status: uint32(unix.SIGKILL), Duration: int64(bootTime() - r.since)})
}

// pass passes one answer on; false means that r is of no more use. A runner
// whose tree outlives its command stays as its reaper, and takes no other
// command before it says, by an Exited of no command, that all has ended.
func (p *pool) pass(r *runner) bool {
	raw, files, err := r.conn.Receive()
	if err != nil {
		return false
	}
	closeAll(files)
	m, err := Unmarshal(raw)
	if err != nil {
		return false
	}
	free := false
	switch m := m.(type) {
	case *Ready:
		p.mu.Lock()
		r.ready = true
		p.mu.Unlock()
		return true
	case *Started:
		free = m.Errno != 0
		p.mu.Lock()
		r.answered = true
		p.mu.Unlock()
	case *Exited:
		free = m.Clean
		p.mu.Lock()
		r.id = 0
		p.mu.Unlock()
		if m.ID == 0 {
			p.rest(r)
			return true
		}
	case *Interrupted:
	default:
		return false
	}
	if p.up.sendRaw(raw, nil) != nil {
		return false
	}
	if free {
		p.rest(r)
	}
	return true
}

// rest keeps r for the next command, for a while.
func (p *pool) rest(r *runner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.id = 0
	if r.retired {
		return
	}
	r.timer = time.AfterFunc(runnerIdle, func() { p.expire(r) })
	p.idle = append(p.idle, r)
}

func (p *pool) expire(r *runner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle {
		if other == r {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			r.retired = true
			r.conn.Close() // it sees the end and exits
			return
		}
	}
}

// forward passes a message on to the runner of command id, if it still runs.
func (p *pool) forward(id uint32, raw []byte) {
	p.mu.Lock()
	var found *runner
	for _, r := range p.runners {
		if r.id == id {
			found = r
		}
	}
	p.mu.Unlock()
	if found != nil {
		_ = unix.Kill(found.pid, unix.SIGCONT) // the sandbox may have stopped it
		p.send(found, raw, nil)
	}
}

// pids returns the runners' process ids.
func (p *pool) pids() map[int]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	pids := make(map[int]bool, len(p.runners))
	for pid := range p.runners {
		pids[pid] = true
	}
	return pids
}

// ended is told of children of PID 1 that are no commands of its own.
func (p *pool) ended(pid int, _ unix.WaitStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.runners[pid]; r != nil {
		close(r.gone)
		delete(p.runners, pid)
	}
}

func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // every kernel has it
	return time.Duration(ts.Nano())
}
