package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// MaxInline is the largest message that travels in the socket itself; a
	// larger one, by the daemon only, travels as a memfd that leads its files.
	MaxInline = 32 << 10
	// MaxMessage bounds a message that travels as a memfd.
	MaxMessage = 64 << 20
	// maxFiles is the most files that come with one message.
	maxFiles = 8
)

// kindSpilled as the only byte of a packet means that its first file holds the
// message.
const kindSpilled = 0

// Spill returns what to put in the packet for a marshalled message, and a
// memfd that must lead the packet's files where the message is too large.
func Spill(b []byte) ([]byte, *os.File, error) {
	if len(b) <= MaxInline {
		return b, nil, nil
	}
	if len(b) > MaxMessage {
		return nil, nil, fmt.Errorf("cannot send a message of %d bytes: the limit is %d: %w", len(b), MaxMessage, unix.E2BIG)
	}
	fd, err := unix.MemfdCreate("message", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "message")
	if _, err := f.WriteAt(b, 0); err != nil {
		f.Close()
		return nil, nil, err
	}
	return []byte{kindSpilled}, f, nil
}

// unspill is the inverse of Spill.
func unspill(b []byte, fds []int) ([]byte, []int, error) {
	if len(b) != 1 || b[0] != kindSpilled {
		return b, fds, nil
	}
	if len(fds) == 0 {
		return nil, fds, errMalformed
	}
	f := os.NewFile(uintptr(fds[0]), "message")
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, MaxMessage))
	return b, fds[1:], err
}

// Conn is one end of a worker's socket.
type Conn struct {
	fd int
	// file is the socket of a Conn that waits in the runtime's poller, which
	// takes no thread. Its sends do not wait at all.
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	oob  []byte
}

// NewConn returns a Conn over a connected SEQPACKET socket, which stays open.
// It waits in the kernel.
func NewConn(fd int) *Conn {
	return &Conn{fd: fd, buf: make([]byte, MaxInline+1), oob: make([]byte, unix.CmsgSpace(4*maxFiles))}
}

// newPolledConn returns a Conn that owns fd.
func newPolledConn(fd int) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	c := NewConn(-1)
	c.file = os.NewFile(uintptr(fd), "runner")
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.file.Close()
		return nil, err
	}
	c.raw = raw
	return c, nil
}

// Close closes the socket of a Conn that owns it, and ends its Receive.
func (c *Conn) Close() { _ = c.file.Close() }

// Receive returns the next packet's message, as bytes that stay valid until
// the next call, and its files, which are close-on-exec and the caller's. It
// returns io.EOF when the other end is closed.
func (c *Conn) Receive() ([]byte, []int, error) {
	var n, oobn, flags int
	var err error
	receive := func(fd int) bool {
		n, oobn, flags, _, err = unix.Recvmsg(fd, c.buf, c.oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN)
	}
	if c.raw != nil {
		if polled := c.raw.Read(func(fd uintptr) bool { return receive(int(fd)) }); polled != nil {
			err = polled
		}
	} else {
		for done := false; !done; {
			done = receive(c.fd)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot receive: %w", err)
	}
	fds, err := parseFiles(c.oob[:oobn])
	switch {
	case err != nil:
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errMalformed
	case n == 0:
		err = io.EOF
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	b, fds, err := unspill(c.buf[:n], fds)
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return b, fds, nil
}

// Send sends a message with files, which stay the caller's.
func (c *Conn) Send(m Message, fds ...int) error { return c.sendRaw(Marshal(m), fds) }

func (c *Conn) sendRaw(b []byte, fds []int) error {
	b, spilled, err := Spill(b)
	if err != nil {
		return err
	}
	if spilled != nil {
		defer spilled.Close()
		fds = append([]int{int(spilled.Fd())}, fds...)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	send := func(fd int) bool {
		err = unix.Sendmsg(fd, b, oob, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(err, unix.EINTR)
	}
	if c.raw != nil {
		if polled := c.raw.Write(func(fd uintptr) bool { return send(int(fd)) }); polled != nil {
			err = polled
		}
	} else {
		for done := false; !done; {
			done = send(c.fd)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return nil
}

func parseFiles(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
