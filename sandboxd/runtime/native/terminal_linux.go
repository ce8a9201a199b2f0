package native

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// terminal is the far side of a command's terminal. The daemon opens it itself:
// nothing in the sandbox ever has a descriptor of it, so nothing there can make
// it blocking again, or read from it.
//
// The near side stays open here until the command has ended. So a command that
// closes its terminal and opens it again later has not hung up meanwhile.
type terminal struct {
	*os.File

	mu   sync.Mutex
	near *os.File // nil after hangUp
}

var _ runtime.Terminal = (*terminal)(nil)

// checkPtmx reports whether a file can open terminals, in a devpts.
func checkPtmx(f *os.File) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return errors.New("not the ptmx of a devpts")
	}
	return nil
}

// openTerminal makes a terminal in the devpts of a ptmx.
func openTerminal(ptmx *os.File, size runtime.Size) (*terminal, error) {
	var fd int
	err := control(ptmx, func(at int) (err error) {
		const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
		fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(at), flags, 0)
		return err
	})
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil, runtime.ErrEnded
	case errors.Is(err, unix.ENOSPC):
		return nil, runtime.ErrNoTerminal
	case err != nil:
		return nil, fmt.Errorf("cannot open a terminal: %w", err)
	}
	t := &terminal{File: os.NewFile(uintptr(fd), "terminal")}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.File.Close()
		return nil, fmt.Errorf("cannot unlock a terminal: %w", err)
	}
	near, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.File.Close()
		return nil, fmt.Errorf("cannot open a terminal: %w", errno)
	}
	t.near = os.NewFile(near, "terminal")
	if err := t.Resize(size); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Read returns io.EOF where the kernel has EIO: nobody holds the near side.
func (t *terminal) Read(b []byte) (int, error) {
	n, err := t.File.Read(b)
	if errors.Is(err, unix.EIO) {
		err = io.EOF
	}
	return n, err
}

// Resize sets the size.
func (t *terminal) Resize(s runtime.Size) error {
	return control(t.File, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
	})
}

// EndInput types the end-of-file character.
func (t *terminal) EndInput() error {
	var mode *unix.Termios
	err := control(t.File, func(fd int) (err error) {
		mode, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil || mode.Lflag&unix.ICANON == 0 || mode.Cc[unix.VEOF] == 0 {
		return err
	}
	_, err = t.Write([]byte{mode.Cc[unix.VEOF]})
	return err
}

// signal does what the keys for sig would do, or reports that there are none.
func (t *terminal) signal(sig syscall.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP:
		return control(t.File, func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCSIG, int(sig)) }) == nil
	}
	return false
}

// control calls f with the descriptor of a file, unless it is closed.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if raw.Control(func(fd uintptr) { err = f(int(fd)) }) != nil {
		return os.ErrClosed // the only reason that it has, under another name
	}
	return err
}

// hangUp lets go of the near side.
func (t *terminal) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.near != nil {
		t.near.Close()
		t.near = nil
	}
}

// Close hangs up.
func (t *terminal) Close() error {
	t.hangUp()
	return t.File.Close()
}
