package process

import (
	"context"
	"errors"
	"io"
)

// ErrTakenOver means that another reader has taken over.
var ErrTakenOver = errors.New("another client has attached to the process")

// Reader takes an Output's data. Its methods but Taken are for one goroutine.
type Reader struct {
	output *Output
	before *Reader // may still put back what it took
	taken  chan struct{}
	gone   chan struct{}
}

// Attach makes a new reader, which takes over from the one that there is.
func (o *Output) Attach() *Reader {
	r := &Reader{output: o, taken: make(chan struct{}), gone: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.before = o.reader; r.before != nil {
		close(r.before.taken)
	}
	o.reader = r
	o.moved.Broadcast()
	return r
}

// Taken is closed when another reader has taken over.
func (r *Reader) Taken() <-chan struct{} { return r.taken }

// Next waits for output. After the last of it the error is io.EOF, or what the
// process's end was given; ErrTakenOver if this reader is not the reader any
// more.
func (r *Reader) Next(ctx context.Context) (Chunk, error) {
	if err := r.await(ctx); err != nil {
		return Chunk{}, err
	}
	o := r.output
	stop := context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.moved.Broadcast()
	})
	defer stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		switch {
		case o.reader != r:
			return Chunk{}, ErrTakenOver
		case ctx.Err() != nil:
			return Chunk{}, ctx.Err()
		case len(o.chunks) > 0:
			return o.next(), nil
		case o.ended:
			return o.last()
		}
		o.moved.Wait()
	}
}

// await waits until the readers before this one have put back what they took.
func (r *Reader) await(ctx context.Context) error {
	for r.before != nil {
		select {
		case <-r.before.gone:
			r.before = r.before.before
		case <-r.taken:
			return ErrTakenOver
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// next takes the oldest chunk. o.mu is held, as it is below.
func (o *Output) next() Chunk {
	c := o.shift()
	o.free(len(c.Data))
	c.Lost, o.lost[c.Stream] = o.lost[c.Stream], 0
	o.moved.Broadcast()
	return c
}

// last tells of losses that no data came after, and then of the end.
func (o *Output) last() (Chunk, error) {
	for s, n := range o.lost {
		if n > 0 {
			o.lost[s] = 0
			return Chunk{Stream: Stream(s), Lost: n}, nil
		}
	}
	if o.err != nil {
		return Chunk{}, o.err
	}
	return Chunk{}, io.EOF
}

// Unread puts back what could not be passed on.
func (r *Reader) Unread(c Chunk) {
	o := r.output
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost[c.Stream] += c.Lost
	c.Lost = 0
	if len(c.Data) > 0 {
		o.budget.force(o.owner, len(c.Data))
		o.size += len(c.Data)
		o.chunks = append([]Chunk{c}, o.chunks...)
	}
}

// Close lets go of the output.
func (r *Reader) Close() {
	o := r.output
	o.mu.Lock()
	defer o.mu.Unlock()
	close(r.gone)
	if o.reader == r {
		o.reader = nil
		o.drop(o.size - MaxOutput)
		if o.orphan {
			o.clear()
		}
	}
	o.moved.Broadcast()
}
