package session

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/pipe"
)

// chunk is how much output is read at a time.
const chunk = 16 << 10

// Stream says where output was written to.
type Stream uint8

// The streams.
const (
	Stdout Stream = iota + 1
	Stderr
)

// Sink takes output; the bytes are its own until it returns. It is called from
// two goroutines, one for each stream.
type Sink func(Stream, []byte) error

// Pass returns when n bytes may pass, or once hurry is closed.
type Pass func(n int, hurry <-chan struct{})

// stream is one of the two pipes that a shell and its commands write to. What
// comes while no command runs is dropped, so that writing is no error, and
// never waits for a reader, for a background job.
type stream struct {
	f    *os.File
	typ  Stream
	pass Pass

	reading sync.Mutex // held from a read until the sink has it
	buf     []byte

	mu    sync.Mutex // above what follows
	sink  Sink       // nil: output is dropped
	fail  context.CancelCauseFunc
	hurry chan struct{} // closed: nothing waits, up to the end of the next rest
}

func newStream(f *os.File, typ Stream, pass Pass) *stream {
	return &stream{f: f, typ: typ, pass: pass, buf: make([]byte, chunk), hurry: make(chan struct{})}
}

// attach gives output to a sink from now on; fail is called when it fails.
func (s *stream) attach(sink Sink, fail context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink, s.fail = sink, fail
}

// detach drops output from now on, and does not wait with it before the next rest
// is over. A sink that is being called is not waited for.
func (s *stream) detach() {
	s.attach(nil, nil)
	s.hasten()
}

// hasten makes output wait for nothing until the next rest is over.
func (s *stream) hasten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isClosed(s.hurry) {
		close(s.hurry)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// rest returns when all that is in the pipe now was given to the sink.
func (s *stream) rest() {
	s.hasten()
	s.reading.Lock()
	defer s.reading.Unlock()
	_, _ = pipe.Rest(s.f, s.buf, s.give) // pump sees its end, and its errors
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry = make(chan struct{})
}

// close ends pump.
func (s *stream) close() {
	s.hasten()
	s.f.Close()
}

// pump reads until every writer is gone, or until close.
func (s *stream) pump() {
	defer s.f.Close()
	conn, err := s.f.SyscallConn()
	if err != nil {
		return
	}
	for more := true; more && err == nil; {
		err = conn.Read(func(fd uintptr) (done bool) {
			done, more = s.read(int(fd))
			return done
		})
	}
}

// read gives the sink what one read(2) returns. Not done means that nothing is
// there yet.
func (s *stream) read(fd int) (done, more bool) {
	s.reading.Lock()
	defer s.reading.Unlock()
	n, err := unix.Read(fd, s.buf)
	if n > 0 {
		_ = s.give(s.buf[:n])
	}
	return !errors.Is(err, unix.EAGAIN), n > 0 || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
}

// give passes output on once it may, or drops it. A sink that fails is not called
// again.
func (s *stream) give(b []byte) error {
	s.mu.Lock()
	dropped, hurry := s.sink == nil, s.hurry
	s.mu.Unlock()
	if dropped && isClosed(hurry) {
		return nil
	}
	if s.pass(len(b), hurry); dropped {
		return nil
	}
	s.mu.Lock()
	sink, fail := s.sink, s.fail
	s.mu.Unlock()
	if sink == nil {
		return nil
	}
	if err := sink(s.typ, b); err != nil {
		fail(err)
		s.detach()
	}
	return nil
}
