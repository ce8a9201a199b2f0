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

	mu      sync.Mutex
	runners map[int]*runner // by pid
	idle    []*runner
}

// runner is one child that runs commands in a tree of its own.
type runner struct {
	conn    *Conn
	pid     int
	id      uint32 // of its command; 0: none
	retired bool   // its socket is closed, or will not be used again
	timer   *time.Timer
}

func newPool(up *Conn) *pool {
	return &pool{up: up, runners: map[int]*runner{}}
}

// start hands a command to a runner.
func (p *pool) start(m *Exec, raw []byte, files []int) error {
	r := p.take(m.ID)
	var err error
	if r == nil {
		r, err = p.spawn(m.ID)
	}
	if err == nil {
		err = p.send(r, raw, files)
	}
	if err != nil {
		return p.up.Send(&Started{ID: m.ID, Op: "exec", Path: "runner", Errno: errnoOf(err)})
	}
	return nil
}

// send gives r a packet without ever waiting for it: the sandbox may have
// stopped it. A runner that does not keep up is given up.
func (p *pool) send(r *runner, raw []byte, files []int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := error(unix.EPIPE)
	if !r.retired {
		err = r.conn.sendRaw(raw, files)
	}
	if err != nil && !r.retired {
		r.retired, r.id = true, 0
		_ = unix.Shutdown(r.conn.fd, unix.SHUT_RDWR)
	}
	return err
}

func (p *pool) take(id uint32) *runner {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		r := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		r.timer.Stop()
		if !r.retired {
			r.id = id
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
	r := &runner{conn: NewConn(pair[0]), id: id}
	r.conn.nowait = unix.MSG_DONTWAIT
	err = p.adopt(func() (int, error) {
		pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(BinaryFD), []string{NameRunner}, &syscall.ProcAttr{
			Env:   Env,
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
		unix.Close(pair[0])
		return nil, err
	}
	go p.relay(r)
	return r, nil
}

// relay passes a runner's answers on to the daemon until it ends.
func (p *pool) relay(r *runner) {
	defer unix.Close(r.conn.fd)
	for p.pass(r) {
	}
	p.mu.Lock()
	r.retired = true
	id := r.id
	r.id = 0
	p.mu.Unlock()
	if id != 0 { // the sandbox killed its own runner
		_ = p.up.Send(&Exited{ID: id, Status: uint32(unix.SIGKILL)})
	}
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
	case *Started:
		free = m.Errno != 0
	case *Exited:
		free = m.Clean
		p.mu.Lock()
		r.id = 0
		p.mu.Unlock()
		if m.ID == 0 {
			p.rest(r)
			return true
		}
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
			_ = unix.Shutdown(r.conn.fd, unix.SHUT_RDWR) // it sees the end and exits
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
		_ = p.send(found, raw, nil)            // relay reports the end of a broken one
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
	delete(p.runners, pid)
}
