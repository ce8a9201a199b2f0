package native

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/worker"
)

// errClosed means that the worker's end of the socket is gone.
var errClosed = errors.New("worker closed its socket")

// sendPatience is how long a worker may leave its socket full, as killPatience.
const sendPatience = 30 * time.Second

// link is the daemon's end of a worker's socket. The worker is not trusted:
// what is received is checked, and nothing waits for ever.
type link struct{ conn *net.UnixConn }

// send sends a message and files, which stay the caller's.
func (l *link) send(m worker.Message, files ...*os.File) error {
	b, spilled, err := worker.Spill(worker.Marshal(m))
	if err != nil {
		return err
	}
	if spilled != nil {
		defer spilled.Close()
		files = append([]*os.File{spilled}, files...)
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for n, f := range files {
			fds[n] = int(f.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return errClosed
	}
	_, _, err = l.conn.WriteMsgUnix(b, oob, nil)
	switch {
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, net.ErrClosed):
		return errClosed
	case err != nil:
		return fmt.Errorf("cannot send to worker: %w", err)
	}
	return nil
}

// receive returns the next message and its files, which are the caller's.
func (l *link) receive() (worker.Message, []*os.File, error) {
	buf := make([]byte, worker.MaxInline+1)
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, _, err := l.conn.ReadMsgUnix(buf, oob)
	files, parseErr := parseFiles(oob[:oobn])
	switch {
	case errors.Is(err, net.ErrClosed), errors.Is(err, unix.ECONNRESET), errors.Is(err, io.EOF):
		err = errClosed
	case err != nil:
		err = fmt.Errorf("cannot receive from worker: %w", err)
	case n == 0:
		err = errClosed
	case parseErr != nil:
		err = parseErr
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.New("worker broke the protocol: oversized message")
	}
	if err == nil {
		var m worker.Message
		if m, err = worker.Unmarshal(buf[:n]); err == nil {
			return m, files, nil
		}
		err = fmt.Errorf("worker broke the protocol: %w", err)
	}
	closeFiles(files)
	return nil, nil, err
}

func (l *link) close() { _ = l.conn.Close() }

func parseFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for n := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[n])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "sandbox file"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
