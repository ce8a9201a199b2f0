package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// socket is where clients connect.
type socket struct {
	listener net.Listener
	path     string
	// ours is the socket's inode; nil where systemd owns the socket.
	ours os.FileInfo
}

// listen opens the socket that systemd passed, else makes the configured one.
func (d *daemon) listen() (*socket, error) {
	if l, err := passedListener(); l != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return &socket{listener: l, path: l.Addr().String()}, nil
	}
	path := filepath.Join(d.opt.RunDir, "api.sock")
	if d.opt.Listen != "" {
		var ok bool
		if path, ok = strings.CutPrefix(d.opt.Listen, "unix://"); !ok || !filepath.IsAbs(path) {
			return nil, fmt.Errorf("cannot listen on %q: want unix:///absolute/path", d.opt.Listen)
		}
	}
	gid := uint32(0)
	if d.opt.Group != "" {
		var err error
		if gid, err = groupID(d.opt.Group); err != nil {
			return nil, err
		}
	}
	s, err := newSocket(path, d.opt.Mode, gid)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return s, nil
}

// newSocket makes a socket under another name, gives it its mode and group, and
// renames it into place: nobody can connect before, and a stale one is
// replaced. It refuses to replace one that somebody answers on.
func newSocket(path string, mode os.FileMode, gid uint32) (_ *socket, err error) {
	if err := checkStale(path); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// A path below /proc keeps the name within what a unix address holds.
	temp := fmt.Sprintf("/proc/self/fd/%d/.sock-%d", dir.Fd(), os.Getpid())
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer func() {
		if err != nil {
			l.Close()
			os.Remove(temp)
		}
	}()
	if int(gid) != os.Getgid() {
		if err := os.Chown(temp, -1, int(gid)); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(temp, mode); err != nil {
		return nil, err
	}
	ours, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	return &socket{listener: l, path: path, ours: ours}, nil
}

// checkStale returns an error unless a path is free or a socket that nobody
// answers on.
func checkStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != os.ModeSocket {
		return errors.New("something that is no socket is in its place")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
	}
	if err == nil || !errors.Is(err, unix.ECONNREFUSED) {
		return errors.New("another process answers on it")
	}
	return nil
}

// close removes the socket, unless it is somebody else's by now.
func (s *socket) close() error {
	s.listener.Close() // the server may have done so
	if s.ours == nil {
		return nil
	}
	now, err := os.Lstat(s.path)
	if err != nil || !os.SameFile(now, s.ours) {
		return nil
	}
	return os.Remove(s.path)
}

// passedListener returns the socket that systemd opened for us, or nil.
func passedListener() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if n := os.Getenv("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("cannot use %s sockets of systemd, only one", n)
	}
	const first = 3
	f := os.NewFile(first, "systemd")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use the socket of systemd: %w", err)
	}
	if l.Addr().Network() != "unix" {
		l.Close()
		return nil, fmt.Errorf("cannot use the socket of systemd: it is of type %s, not unix", l.Addr().Network())
	}
	return l, nil
}

// notify tells systemd, if it wants to know, how the service is.
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state)) // systemd will time out, and say so
}

// groupID returns the number of a group given by name or number.
func groupID(group string) (uint32, error) {
	id := group
	if g, err := user.LookupGroup(group); err == nil {
		id = g.Gid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("cannot find group %q", group)
	}
	return uint32(n), nil
}
