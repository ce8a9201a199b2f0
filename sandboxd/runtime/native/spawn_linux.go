package native

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// namespaces of every sandbox. The cgroup namespace comes later: it has to be
// made from inside the sandbox's group.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// spawn starts a worker that waits for its set-up, and returns its process id.
// Where the group has a directory the worker is born in it; else it enters it by
// the group's tasks.
func spawn(program *os.File, group cgroup.Group, log *slog.Logger) (*Instance, int, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make the worker's socket: %w", err)
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, 0, err
	}
	defer null.Close()
	// By its number in the child: there, ours may be another file's.
	path := fmt.Sprintf("/proc/self/fd/%d", worker.BinaryFD)
	attr := &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	if dir := group.Dir(); dir != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	}
	process, err := os.StartProcess(path, []string{worker.NameSetup}, &os.ProcAttr{
		Dir:   "/",
		Env:   worker.SetupEnv,
		Files: []*os.File{null, null, null, theirs, program},
		Sys:   attr,
	})
	if err != nil {
		ours.Close()
		return nil, 0, fmt.Errorf("cannot start a worker: %w", err)
	}
	return Adopt(child{process}, ours, group, log), process.Pid, nil
}

// child is a worker that the daemon started itself.
type child struct{ *os.Process }

func (c child) Wait() (fmt.Stringer, error) { return c.Process.Wait() }

// socketPair returns the two ends of a worker's socket.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "worker")
	f := os.NewFile(uintptr(fds[0]), "daemon")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}
