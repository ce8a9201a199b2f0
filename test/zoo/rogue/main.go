// Command rogue stands in for a sandbox's worker that hostile code has taken
// over: it says to the daemon whatever it likes. What that is, it reads from the
// plan that it is given: a writable directory is called say-WHAT. Without such a
// one it becomes the true worker, from the file worker.true beside the daemon's
// run directory.
//
// Rogue attacks nothing but the socket that it is started with.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/worker"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rogue:", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Args[0] != worker.NameSetup {
		return fmt.Errorf("%q is started by a test only", os.Args[0])
	}
	peeked := make([]byte, worker.MaxInline)
	n, _, err := unix.Recvfrom(worker.ControlFD, peeked, unix.MSG_PEEK)
	if err != nil {
		return err
	}
	m, err := worker.Unmarshal(peeked[:n])
	if err != nil {
		return err
	}
	setup, ok := m.(*worker.Setup)
	if !ok {
		return fmt.Errorf("first message is %T", m)
	}
	for _, dir := range setup.Writable {
		if what, found := strings.CutPrefix(dir, "/say-"); found {
			if err := say(what); err != nil {
				return err
			}
			time.Sleep(time.Hour) // the daemon is to end this
		}
	}
	return becomeTrue(setup.Root)
}

// becomeTrue executes the true worker, to which the message is still unread,
// from memory, as the daemon would.
func becomeTrue(root string) error {
	for dir := filepath.Dir(root); dir != "/"; dir = filepath.Dir(dir) {
		program, err := os.ReadFile(dir + "/worker.true")
		if err != nil {
			continue
		}
		fd, err := unix.MemfdCreate("worker", 0)
		if err != nil {
			return err
		}
		if _, err := unix.Write(fd, program); err != nil {
			return err
		}
		// It must be read-only to be executed.
		if fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.Dup3(fd, worker.BinaryFD, 0); err != nil {
			return err
		}
		return becomeProgram()
	}
	return fmt.Errorf("no true worker above %s", root)
}

func becomeProgram() error {
	if err := unix.CloseRange(worker.BinaryFD+1, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	return unix.Exec(fmt.Sprintf("/proc/self/fd/%d", worker.BinaryFD), os.Args, os.Environ())
}

// say is one way to lie.
func say(what string) error {
	c := worker.NewConn(worker.ControlFD)
	switch what {
	case "garbage-at-once":
		return garbage()
	case "silence":
		time.Sleep(time.Hour)
		return nil
	}
	if err := ready(c, what == "wrong-terminals"); err != nil {
		return err
	}
	switch what {
	case "garbage":
		return garbage()
	case "torn":
		return torn()
	case "huge":
		return packet(make([]byte, 150<<10))
	case "empty":
		return packet(nil)
	case "ready-again":
		return ready(c, false)
	case "failed-later":
		return c.Send(&worker.Failed{Stage: "mounts", Item: "\xff"})
	case "orders":
		return c.Send(&worker.Exec{ID: 1, Argv: []string{"/bin/true"}})
	case "setup":
		return c.Send(&worker.Setup{Root: "/"})
	case "stray-answers":
		return c.Send(&worker.Exited{ID: 4711})
	case "files":
		return files()
	case "flood":
		return flood(c)
	}
	return answer(c, what)
}

// ready ends the set-up, with what the daemon opens terminals with or with
// something else.
func ready(c *worker.Conn, wrong bool) error {
	path, flags := "/dev/pts/ptmx", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC
	if wrong {
		path, flags = "/dev/null", unix.O_RDWR|unix.O_CLOEXEC
	}
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return c.Send(&worker.Ready{}, fd)
}

// answer waits for what the daemon wants and answers it wrongly.
func answer(c *worker.Conn, what string) error {
	for {
		b, _, err := c.Receive()
		if err != nil {
			return err
		}
		m, err := worker.Unmarshal(b)
		if err != nil {
			return err
		}
		if err := wrong(c, what, m); err != nil {
			return err
		}
	}
}

func wrong(c *worker.Conn, what string, m worker.Message) error {
	switch m := m.(type) {
	case *worker.Exec:
		switch what {
		case "end-before-start":
			return c.Send(&worker.Exited{ID: m.ID})
		case "two-starts":
			for range 2 {
				if err := c.Send(&worker.Started{ID: m.ID, PID: 2}); err != nil {
					return err
				}
			}
		case "result-for-command":
			return c.Send(&worker.Result{ID: m.ID})
		}
	case *worker.List:
		return listing(c, what, m.ID)
	case *worker.Open:
		var fd int
		var err error
		switch what {
		case "fifo-for-file":
			var pair [2]int
			err = unix.Pipe2(pair[:], unix.O_CLOEXEC) // the other end stays open, silent
			fd = pair[0]
		case "directory-for-file":
			fd, err = unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		case "path-for-file":
			fd, err = unix.Open("/dev/null", unix.O_PATH|unix.O_CLOEXEC, 0)
		case "nothing-for-file":
			return c.Send(&worker.Result{ID: m.ID})
		default:
			return c.Send(&worker.Result{ID: m.ID, Errno: uint32(unix.ENOENT)})
		}
		if err != nil {
			return err
		}
		return c.Send(&worker.Result{ID: m.ID}, fd)
	}
	return nil
}

// listing answers a listing wrongly.
func listing(c *worker.Conn, what string, id uint32) error {
	part := &worker.Entries{ID: id, Entries: slices.Repeat([]worker.Entry{{Path: "x"}}, 4000)}
	switch what {
	case "listing-of-the-host":
		return c.Send(&worker.Entries{ID: id, Last: true, Entries: []worker.Entry{{Path: "../../etc/passwd"}}})
	case "result-for-listing":
		return c.Send(&worker.Result{ID: id})
	case "endless-listing":
		for {
			if err := c.Send(part); err != nil {
				return err
			}
		}
	case "two-answers-to-a-long-listing":
		for range 300 {
			if err := c.Send(part); err != nil {
				return err
			}
		}
		for range 2 {
			if err := c.Send(&worker.Result{ID: id}); err != nil {
				return err
			}
		}
		return nil
	}
	return c.Send(&worker.Entries{ID: id, Last: true})
}

func packet(b []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(worker.ControlFD, b, oob, nil, 0)
}

func garbage() error {
	for n := 1; ; n = n%4000 + 37 {
		b := make([]byte, n)
		if _, err := rand.Read(b); err != nil {
			return err
		}
		if err := packet(b); err != nil {
			return err
		}
	}
}

// torn sends every beginning of a message.
func torn() error {
	whole := worker.Marshal(&worker.Started{ID: 1, PID: 2, Op: "exec", Path: "/bin/true"})
	for n := 1; n < len(whole); n++ {
		if err := packet(whole[:n]); err != nil {
			return err
		}
	}
	return nil
}

// files sends more descriptors than any message has.
func files() error {
	fds := make([]int, 200)
	for i := range fds {
		fds[i] = worker.ControlFD
	}
	return packet(worker.Marshal(&worker.Result{ID: 1}), fds...)
}

func flood(c *worker.Conn) error {
	for id := uint32(1); ; id++ {
		if err := c.Send(&worker.Entries{ID: id, Last: true}); err != nil {
			return err
		}
	}
}
