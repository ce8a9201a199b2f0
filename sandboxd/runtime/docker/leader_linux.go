package docker

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/runtime/native"
)

// leader is a container's first process, which is not our child. With it ends
// everything in the container, whether or not the engine lives.
type leader struct {
	pid   int
	pidfd *os.File
}

var _ native.Leader = (*leader)(nil)

// Kill ends the container.
func (l *leader) Kill() error {
	raw, err := l.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) }); cerr != nil {
		return nil // Wait has closed it
	}
	return err
}

type ended struct{}

func (ended) String() string { return "its container ended" }

// Wait returns when nothing in the container runs any more.
func (l *leader) Wait() (fmt.Stringer, error) {
	defer l.pidfd.Close()
	raw, err := l.pidfd.SyscallConn()
	if err != nil {
		return nil, err
	}
	// A pidfd becomes readable when its process ends.
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, perr := unix.Poll(poll, 0)
		return n > 0 || perr != nil && !errors.Is(perr, unix.EINTR)
	})
	return ended{}, err
}

// group is a container's cgroup, which is the engine's, and with it the
// container.
type group struct {
	observed *cgroup.Observed
	remove   func()
}

var _ cgroup.Group = (*group)(nil)

func (*group) Dir() *os.File               { return nil }
func (*group) Tasks() []*os.File           { return nil }
func (g *group) OOMKills() (uint64, error) { return g.observed.OOMKills() }
func (*group) Began()                      {}
func (*group) Hurry(time.Duration)         {}

// Delete removes the container.
func (g *group) Delete() error {
	g.remove()
	return nil
}
