package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/landlock"
	"github.com/agentfense/agentfense/landlock/seccomp/install"
)

// Descriptors that every worker is started with, beside the standard three.
const (
	// ControlFD is the socket to the daemon, or a runner's to PID 1.
	ControlFD = 3
	// BinaryFD is the worker's own program.
	BinaryFD = 4
)

// Names are what a worker is called, argv[0]; they choose the stage.
const (
	NameSetup  = "setup"
	NameInit   = "init"
	NameRunner = "runner"
	// NameContainer is the base name of the path that an engine executes.
	NameContainer = "container"
)

// Main runs the stage that argv[0] names, and returns the exit code.
func Main() int {
	conn := NewConn(ControlFD)
	var err error
	switch filepath.Base(os.Args[0]) {
	case NameSetup:
		err = setUp(conn)
	case NameContainer:
		err = setUpContainer(conn, filepath.Dir(os.Args[0]))
	case NameInit:
		err = serveInit(conn)
	case NameRunner:
		err = serveRunner(conn)
	default:
		fmt.Fprintln(os.Stderr, "agentfense-worker is started by sandboxd; it does nothing by itself")
		return 2
	}
	if err != nil {
		_ = conn.Send(message(err)) // the daemon may be gone
		return 1
	}
	return 0
}

// setUp is stage one. On success it does not return: the thread that gave its
// privileges away executes stage two, and with that ends all other threads.
func setUp(conn *Conn) error {
	runtime.LockOSThread()
	unix.CloseOnExec(BinaryFD)
	if err := unix.CloseRange(BinaryFD+1, ^uint(0)>>1, 0); err != nil {
		return failed(StageSetup, "close_range", err)
	}
	s, files, err := receiveSetup(conn)
	if err != nil {
		return err
	}
	defer closeAll(files)
	tasks, disk := files, -1
	if last := len(files) - 1; s.Disk && last >= 0 {
		tasks, disk = files[:last], files[last]
	}
	if err := enterCgroups(tasks); err != nil {
		return err
	}
	if err := makePrivate(); err != nil {
		return err
	}
	if err := mountAll(s, disk, s.Root+emptyDir); err != nil {
		return err
	}
	return settle(s)
}

// settle enters the root, which has everything, gives all privileges away and
// executes stage two.
func settle(s *Setup) error {
	if err := enter(s.Root); err != nil {
		return err
	}
	if err := prepareSystem(); err != nil {
		return err
	}
	if err := becomeUser(s.UID); err != nil {
		return err
	}
	if err := confine(s); err != nil {
		return err
	}
	return failed(StageServe, "exec", execSelf(NameInit))
}

// confine applies Landlock, as far as the kernel has it, and then seccomp. A
// sandbox goes without one of them only if the daemon said so.
func confine(s *Setup) error {
	abi, err := landlock.HaveABI()
	if err != nil {
		return failed(StageConfine, "landlock", err)
	}
	if abi > 0 || !s.NoLandlock {
		set, _ := landlock.Compile(landlock.Request{Writable: s.Writable, Files: s.Files}, abi)
		if err := landlock.Apply(set); err != nil {
			return failed(StageConfine, "landlock", err)
		}
	}
	if s.Filter == "" {
		return nil
	}
	return filter([]byte(s.Filter))
}

// filter applies a seccomp program, and passes on its listener. There is none if
// somebody listens to this process already, such as the manager of a container
// that the daemon runs in: what cannot be asked is refused then.
func filter(program []byte) error {
	listener, err := install.Listening(program)
	if errors.Is(err, unix.EBUSY) {
		return failed(StageConfine, "seccomp", install.Thread(program))
	}
	if err != nil {
		return failed(StageConfine, "seccomp", err)
	}
	return failed(StageConfine, "listener", passOn(listener, NotifyFD))
}

// passOn puts a descriptor where the next program finds it.
func passOn(fd, at int) error {
	if fd != at {
		return unix.Dup3(fd, at, 0)
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

// enterCgroups moves this thread, and so what it will execute, into the
// sandbox's groups and makes them the root of a new cgroup namespace.
func enterCgroups(tasks []int) error {
	for _, fd := range tasks {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return failed(StageSetup, "cgroup", err)
		}
	}
	return failed(StageSetup, "cgroup namespace", unix.Unshare(unix.CLONE_NEWCGROUP))
}

func receiveSetup(conn *Conn) (*Setup, []int, error) {
	b, files, err := conn.Receive()
	if err != nil {
		return nil, nil, failed(StageSetup, "receive", err)
	}
	m, err := Unmarshal(b)
	s, ok := m.(*Setup)
	if err == nil && !ok {
		err = errors.New("unexpected message")
	}
	if err != nil {
		closeAll(files)
		return nil, nil, failed(StageSetup, "read", err)
	}
	return s, files, nil
}
