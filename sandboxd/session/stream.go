package session

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

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
	f      *os.File
	typ    Stream
	pass   Pass
	rested chan struct{} // one value for each rest
	done   chan struct{} // closed when nothing is read any more

	mu    sync.Mutex // above what follows
	sink  Sink       // nil: output is dropped
	fail  context.CancelCauseFunc
	hurry chan struct{} // closed: nothing waits, up to the end of the next rest
}

func newStream(f *os.File, typ Stream, pass Pass) *stream {
	return &stream{f: f, typ: typ, pass: pass, rested: make(chan struct{}), done: make(chan struct{}), hurry: make(chan struct{})}
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
	s.f.SetReadDeadline(time.Unix(1, 0))
	select {
	case <-s.rested:
	case <-s.done:
	}
}

// close ends pump.
func (s *stream) close() {
	s.hasten()
	s.f.Close()
}

// pump reads until every writer is gone, or until close.
func (s *stream) pump() {
	defer close(s.done)
	defer s.f.Close()
	buf := make([]byte, chunk)
	for {
		n, err := s.f.Read(buf)
		if n > 0 {
			_ = s.give(buf[:n])
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			s.f.SetReadDeadline(time.Time{})
			eof, err := pipe.Rest(s.f, buf, s.give)
			if eof || err != nil {
				return
			}
			s.mu.Lock()
			s.hurry = make(chan struct{})
			s.mu.Unlock()
			s.rested <- struct{}{}
		}
	}
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
