package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inotifyBuffer holds some hundred changes.
const inotifyBuffer = 32 << 10

// inotifyEvent is struct inotify_event.
type inotifyEvent struct {
	wd   int
	mask uint32
	name string
}

// parseInotify returns the first event of b, and the rest.
func parseInotify(b []byte) (inotifyEvent, []byte) {
	e := inotifyEvent{wd: int(int32(binary.NativeEndian.Uint32(b))), mask: binary.NativeEndian.Uint32(b[4:])}
	end := min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:])), len(b))
	name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
	e.name = string(name)
	return e, b[end:]
}

// watch serves one Watch until it is cancelled or its directory is gone. While
// the daemon does not ask for more, changes wait in the kernel, whose queue is
// bounded.
func (s *initServer) watch(m *Watch, c *longCall) error {
	c.take()
	w, err := newWatcher(m.Path, m.Recursive, c)
	c.give()
	if err != nil {
		return s.up.Send(&Result{ID: m.ID, Errno: errnoOf(err)})
	}
	f := os.NewFile(uintptr(w.fd), "inotify")
	defer f.Close()
	s.long.onCancel(c, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) }) // fails on a closed file only
	raw, err := f.SyscallConn()
	if err != nil {
		return s.up.Send(&Result{ID: m.ID, Errno: errnoOf(err)})
	}
	if err := s.up.Send(&Result{ID: m.ID}); err != nil {
		return err
	}
	buf := make([]byte, inotifyBuffer)
	for {
		select {
		case <-c.next:
		case <-c.stop:
			return s.up.Send(&Events{ID: m.ID, Last: true})
		}
		err := w.fill(raw, buf)
		events := w.take()
		last := err != nil || w.gone && len(w.pending) == 0
		if err := s.up.Send(&Events{ID: m.ID, Events: events, Last: last}); err != nil || last {
			return err
		}
	}
}

// fill waits until there is something to tell. The error is that of a cancelled
// call, or of a directory that can be watched no more.
func (w *watcher) fill(raw syscall.RawConn, buf []byte) error {
	for len(w.pending) == 0 && !w.gone {
		n, err := w.read(raw, buf)
		if err != nil {
			return err
		}
		w.call.take()
		err = w.handle(buf[:n])
		w.call.give()
		if err != nil {
			return err
		}
	}
	return nil
}

// read waits in the runtime's poller, which takes no thread.
func (w *watcher) read(raw syscall.RawConn, buf []byte) (n int, err error) {
	polled := raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), buf)
		if errors.Is(err, unix.EAGAIN) {
			w.settled()
			return false
		}
		return !errors.Is(err, unix.EINTR)
	})
	if polled != nil {
		err = polled
	}
	return max(n, 0), err
}

// take takes as many of the pending events as fit a packet.
func (w *watcher) take() []Event {
	size, n := 0, 0
	for ; n < len(w.pending); n++ {
		if size += len(w.pending[n].Path) + 16; size > MaxInline-128 {
			break
		}
	}
	events := w.pending[:n:n]
	w.pending = w.pending[n:]
	return events
}
