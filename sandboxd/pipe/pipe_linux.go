// Package pipe reads what commands write: pipes between the daemon and a sandbox.
//
// The far end is a hostile process's. Nothing here waits for it without end,
// and nothing grows with what it writes.
package pipe

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// New returns a pipe between the daemon and a command. Only the daemon's
// end is non-blocking: that is a property of the open file, and a command does
// not expect it of its standard streams.
func New(daemonReads bool) (ours, theirs *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	our, their := p[0], p[1]
	if !daemonReads {
		our, their = their, our
	}
	if err := unix.SetNonblock(our, true); err != nil {
		unix.Close(our)
		unix.Close(their)
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	return os.NewFile(uintptr(our), "pipe"), os.NewFile(uintptr(their), "pipe"), nil
}

// Rest gives sink what is in a pipe now, without waiting for more, and reports
// whether every writer has closed it.
func Rest(f *os.File, buf []byte, sink func([]byte) error) (eof bool, err error) {
	left, err := readable(f)
	for err == nil && left > 0 {
		var n int
		n, err = readNow(f, buf[:min(left, len(buf))])
		if n > 0 {
			left -= n
			err = sink(buf[:n])
		} else if err == nil {
			return true, nil
		}
	}
	if err == nil {
		// What arrives from now on is not the command's any more.
		var n int
		if n, err = readNow(f, buf); err == nil && n == 0 {
			return true, nil
		}
	}
	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return false, err
}

// readable returns how many bytes are in a pipe.
func readable(f *os.File) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	})
	return n, errors.Join(cerr, err)
}

// readNow is one read(2) that does not wait, not for another reader either.
func readNow(f *os.File, buf []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		for {
			if n, err = unix.Read(int(fd), buf); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return 0, cerr
	}
	return max(n, 0), err
}

// discardChunk is how much Discard reads at a time.
const discardChunk = 8 << 10

// Discard reads a pipe until every writer has closed it or done is closed. It
// calls pass with the number of bytes after each read.
func Discard(f *os.File, done <-chan struct{}, pass func(n int)) {
	defer f.Close()
	eof := make(chan struct{})
	go func() {
		defer close(eof)
		buf := make([]byte, discardChunk)
		for {
			n, err := f.Read(buf)
			pass(n)
			if err != nil { // its end is all that counts
				return
			}
		}
	}()
	select {
	case <-eof:
	case <-done:
		f.Close() // ends the copy
		<-eof
	}
}
