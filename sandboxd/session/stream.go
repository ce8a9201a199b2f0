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

// stream is one of the two pipes that a shell and its commands write to. What
// comes while no command runs is dropped, so that writing is no error, and
// never waits, for a background job.
type stream struct {
	f      *os.File
	typ    Stream
	rested chan struct{} // one value for each rest
	done   chan struct{} // closed when nothing is read any more

	mu   sync.Mutex // above what follows
	sink Sink       // nil: output is dropped
	fail context.CancelCauseFunc
}

func newStream(f *os.File, typ Stream) *stream {
	return &stream{f: f, typ: typ, rested: make(chan struct{}), done: make(chan struct{})}
}

// attach gives output to a sink from now on; fail is called when it fails.
func (s *stream) attach(sink Sink, fail context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink, s.fail = sink, fail
}

// detach drops output from now on. A sink that is being called is not waited
// for.
func (s *stream) detach() { s.attach(nil, nil) }

// rest returns when all that is in the pipe now was given to the sink.
func (s *stream) rest() {
	s.f.SetReadDeadline(time.Unix(1, 0))
	select {
	case <-s.rested:
	case <-s.done:
	}
}

// close ends pump.
func (s *stream) close() { s.f.Close() }

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
			s.rested <- struct{}{}
		}
	}
}

// give passes output on. A sink that fails is not called again.
func (s *stream) give(b []byte) error {
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
