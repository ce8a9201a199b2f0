package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/runtime/native"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// launch starts a container and returns the instance of its worker, which waits
// for its set-up, and the worker's process id.
func (r *Runtime) launch(ctx context.Context, spec runtime.Spec, img *image, place string) (_ *native.Instance, pid int, err error) {
	options, err := r.describe(spec, img, place)
	if err != nil {
		return nil, 0, err
	}
	listener, err := listen(place)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make the worker's socket: %w", err)
	}
	defer listener.Close()
	made, err := r.engine.ContainerCreate(ctx, options)
	if err != nil {
		return nil, 0, fmt.Errorf("the engine cannot make a container of %s: %w", spec.Image, err)
	}
	defer func() {
		if err != nil {
			r.remove(made.ID)
		}
	}()
	if _, err := r.engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return nil, 0, fmt.Errorf("the engine cannot start a container of %s: %w", spec.Image, err)
	}
	conn, err := r.await(ctx, made.ID, listener)
	if err != nil {
		return nil, 0, err
	}
	l, err := r.verify(ctx, made.ID, conn, options.HostConfig.Resources)
	if err != nil {
		return nil, 0, errors.Join(err, conn.Close())
	}
	observed, err := cgroup.Observe(l.pid, options.HostConfig.Memory)
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("cannot find the container's cgroup: %w", err), l.pidfd.Close(), conn.Close())
	}
	g := &group{observed: observed, remove: func() { r.remove(made.ID) }}
	return native.Adopt(l, conn, g, r.cfg.Log.With("sandbox", spec.ID, "container", made.ID)), l.pid, nil
}

// listen makes the socket by its directory's descriptor: the path may be longer
// than a socket's can be.
func listen(dir string) (*net.UnixListener, error) {
	at, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(at.Fd())), worker.SocketName)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err == nil {
		l.SetUnlinkOnClose(false)
	}
	return l, err
}

// await returns the first connection, unless the container ends before.
func (r *Runtime) await(ctx context.Context, id string, listener *net.UnixListener) (*net.UnixConn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := r.engine.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	go func() {
		select {
		case status := <-ended.Result:
			cancel(fmt.Errorf("the container ended before it was set up: exit status %d", status.StatusCode))
		case err := <-ended.Error:
			cancel(fmt.Errorf("the container ended before it was set up: %w", err))
		case <-ctx.Done():
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := listener.AcceptUnix()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return conn, err
}

// verify makes sure that a connection is from the container's first process, and
// that the engine took every limit.
func (r *Runtime) verify(ctx context.Context, id string, conn *net.UnixConn, want container.Resources) (*leader, error) {
	peer, err := peerOf(conn)
	if err != nil {
		return nil, fmt.Errorf("cannot tell who connected: %w", err)
	}
	pidfd, err := unix.PidfdOpen(int(peer.Pid), unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch the container: %w", err)
	}
	l := &leader{pid: int(peer.Pid), pidfd: os.NewFile(uintptr(pidfd), "pidfd")}
	found, err := r.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	switch c := found.Container; {
	case err != nil:
	case c.State == nil || c.HostConfig == nil || !c.State.Running:
		err = errors.New("the container ended before it was set up")
	case c.State.Pid != l.pid || peer.Uid != 0:
		err = errors.New("the container's first process is not the one that connected: the engine must number processes as the daemon does")
	default:
		err = checkResources(want, c.HostConfig.Resources)
	}
	if err != nil {
		return nil, errors.Join(err, l.pidfd.Close())
	}
	return l, nil
}

func peerOf(conn *net.UnixConn) (peer *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if cerr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil {
		return nil, cerr
	}
	return peer, err
}

// copyProgram copies the worker to where an engine can mount it from. Stage two
// is executed from the sealed original.
func copyProgram(from *os.File, path string) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return err
	}
	st, err := from.Stat()
	if err == nil {
		_, err = io.Copy(to, io.NewSectionReader(from, 0, st.Size()))
	}
	return errors.Join(err, to.Close())
}
