package process

import (
	"bytes"
	"context"
	"errors"
	"sync"
)

const (
	// inputQueue is how many pieces of input may wait for the process, so that
	// a signal behind them still arrives.
	inputQueue = 16
	// maxPiece bounds what a queue of them takes.
	maxPiece = 32 << 10
)

// ErrInputClosed means that the standard input is closed already.
var ErrInputClosed = errors.New("standard input is closed")

// Input is a process's standard input, which stays open between clients.
type Input struct {
	pieces chan []byte
	gone   <-chan struct{} // closed when nobody reads any more

	mu     sync.Mutex
	closed bool
}

// NewInput returns an open input that begins with first. Gone is to be closed
// when nobody takes its pieces any more.
func NewInput(first []byte, gone <-chan struct{}) *Input {
	i := &Input{pieces: make(chan []byte, inputQueue), gone: gone}
	if len(first) > 0 {
		i.pieces <- first
	}
	return i
}

// Pieces returns what is to be written. An empty one is the end.
func (i *Input) Pieces() <-chan []byte { return i.pieces }

// Open reports whether input is taken.
func (i *Input) Open() bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.closed
}

// Send passes on b, once there is room. A process that does not read any more,
// or has ended, is no error.
func (i *Input) Send(ctx context.Context, b []byte) error {
	if !i.Open() {
		return ErrInputClosed
	}
	for len(b) > 0 {
		n := min(len(b), maxPiece)
		if !i.push(ctx, bytes.Clone(b[:n])) { // or else it keeps all of b
			return nil
		}
		b = b[n:]
	}
	return nil
}

// Close ends the input after what was sent.
func (i *Input) Close(ctx context.Context) error {
	if !i.Open() {
		return ErrInputClosed
	}
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.push(context.WithoutCancel(ctx), nil)
	return nil
}

// push is false if nobody takes b any more.
func (i *Input) push(ctx context.Context, b []byte) bool {
	select {
	case i.pieces <- b:
		return true
	case <-i.gone:
	case <-ctx.Done():
	}
	return false
}
