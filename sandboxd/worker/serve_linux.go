package worker

import (
	"errors"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// fileCalls is how many calls on files run at once: each may hold a thread.
const fileCalls = 2

// readyThreads is how many threads PID 1 makes the runtime start before the
// sandbox can use up its processes, since a Go program that cannot start a
// thread ends: for the receiver, the reaper, one that forks, file calls, and a
// spare one.
const readyThreads = fileCalls + 4

// Threads is how many threads PID 1 has at most, the runtime's own included.
// A limit on the sandbox's processes must leave room for them.
const Threads = 18

// initServer is stage two: PID 1 of a sandbox.
type initServer struct {
	up    *Conn
	tree  *tree
	pool  *pool
	slots chan struct{}
	long  longCalls
}

// serveInit serves until the daemon closes the socket.
func serveInit(up *Conn) error {
	if err := becomeServer(); err != nil {
		return err
	}
	serveNetlinks()
	s := &initServer{up: up, slots: make(chan struct{}, fileCalls)}
	s.pool = newPool(up)
	s.tree = newTree(up, s.pool.ended, func() {})
	s.pool.adopt, s.pool.orphaned = s.tree.adopt, s.killOrphans
	s.tree.spared = s.spared
	errs := make(chan error, 2)
	go func() { errs <- s.tree.reap() }()
	if err := sendReady(up); err != nil {
		return err
	}
	go func() { errs <- s.receive() }()
	err := <-errs
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// sendReady hands the daemon what it opens terminals with.
func sendReady(up *Conn) error {
	fd, err := unix.Open("/dev/pts/ptmx", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(StageServe, "/dev/pts/ptmx", err)
	}
	defer unix.Close(fd)
	return up.Send(&Ready{}, fd)
}

// deadly are the signals that end a Go program which does not catch them. The
// kernel keeps the others from PID 1, or the Go runtime drops them.
var deadly = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
	unix.SIGSEGV, unix.SIGTERM, unix.SIGSTKFLT, unix.SIGSYS,
}

// becomeServer makes this process as hard to disturb as its rights allow.
func becomeServer() error {
	unix.CloseOnExec(ControlFD)
	unix.CloseOnExec(BinaryFD)
	// Caught, not ignored: what is ignored here would be ignored in every
	// command too.
	signal.Notify(make(chan os.Signal, 1), deadly...)
	return forbidTracing()
}

// startThreads makes the Go runtime start n threads; it keeps them.
func startThreads(n int) {
	var all, done sync.WaitGroup
	all.Add(n)
	for range n {
		done.Go(func() {
			goruntime.LockOSThread()
			defer goruntime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	done.Wait()
}

func (s *initServer) receive() error {
	startThreads(readyThreads)
	for {
		b, files, err := s.up.Receive()
		if err != nil {
			return err
		}
		m, err := Unmarshal(b)
		if err == nil {
			err = s.handle(m, b, files)
		}
		closeAll(files)
		if err != nil {
			return err
		}
	}
}

func (s *initServer) handle(m Message, raw []byte, files []int) error {
	switch m := m.(type) {
	case *Exec:
		if here, err := s.tree.start(m, files); here || err != nil {
			return err
		}
		return s.pool.start(m, raw, files)
	case *Signal:
		if pid := s.tree.command(m.ID); pid != 0 {
			_ = unix.Kill(-pid, unix.Signal(m.Number)) // it may have ended by now
			return nil
		}
		s.pool.forward(m.ID, raw)
	case *Kill:
		if s.tree.command(m.ID) != 0 {
			s.killOwn()
			return nil
		}
		s.pool.forward(m.ID, raw)
	case *Interrupt:
		if !s.tree.interrupt(m) {
			s.pool.forward(m.ID, raw)
		}
	case *Open:
		s.do(func() error { return openFile(s.up, m) })
	case *MakeDirs:
		s.do(func() error { return makeDirs(s.up, m) })
	case *List:
		s.do(func() error { return list(s.up, m) })
	default:
		return s.handleFile(m)
	}
	return nil
}

// killOwn ends the tree of the command that PID 1 runs itself. Without runners
// that is everything else in the sandbox, and one call that no fork outruns.
func (s *initServer) killOwn() {
	if len(s.pool.pids()) == 0 {
		_ = unix.Kill(-1, unix.SIGKILL)
		return
	}
	go killDescendants(s.spared, s.tree.unchanged())
}

// spared are the runners, those that are just starting included.
func (s *initServer) spared() map[int]bool {
	s.tree.settle()
	return s.pool.pids()
}

// killOrphans ends what has come to PID 1 from a runner that is gone. It cannot
// be told from what the command of PID 1 has left since the runner's began.
func (s *initServer) killOrphans(since time.Duration) {
	hunt(func() []int {
		children := family()
		spared := s.spared()
		spared[s.tree.running()] = true
		return newer(os.Getpid(), 0, children, spared, &Interrupt{Since: int64(since)})
	})
}

// do runs a call beside the loop once there is a slot, since a file may be slow.
// How many wait is for the daemon to bound.
func (s *initServer) do(call func() error) {
	go func() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		_ = call() // a broken socket ends receive as well
	}()
}

// serveRunner runs the commands that PID 1 hands on, one at a time, and is the
// reaper of all that they leave behind.
func serveRunner(up *Conn) error {
	if err := becomeServer(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return failed(StageServe, "subreaper", err)
	}
	t := newTree(up, func(int, unix.WaitStatus) {}, func() {
		_ = up.Send(&Exited{Clean: true}) // a broken socket ends receive as well
	})
	errs := make(chan error, 2)
	go func() { errs <- t.reap() }()
	go func() { errs <- runnerReceive(up, t) }()
	err := <-errs
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func runnerReceive(up *Conn, t *tree) error {
	for {
		b, files, err := up.Receive()
		if err != nil {
			return err
		}
		m, err := Unmarshal(b)
		if err != nil {
			closeAll(files)
			return err
		}
		switch m := m.(type) {
		case *Exec:
			if err = up.Send(&Ready{}); err == nil {
				_, err = t.start(m, files)
			}
		case *Signal:
			if pid := t.command(m.ID); pid != 0 {
				_ = unix.Kill(-pid, unix.Signal(m.Number))
			}
		case *Kill:
			if t.command(m.ID) != 0 {
				go killDescendants(t.spared, t.unchanged())
			}
		case *Interrupt:
			_ = t.interrupt(m) // it may have ended by now
		default:
			err = errMalformed
		}
		closeAll(files)
		if err != nil {
			return err
		}
	}
}
