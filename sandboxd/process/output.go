package process

import "sync"

const (
	// MaxOutput is how many bytes of unread output a process keeps.
	MaxOutput = 1 << 20
	// MaxOwnerOutput is the same for all processes of one owner together.
	MaxOwnerOutput = 256 << 20

	// maxChunk is how much of one stream a chunk holds.
	maxChunk = 32 << 10
	// maxChunks bounds the changes from one stream to the other that are kept.
	maxChunks = 64 << 10
)

// Stream is one of a process's outputs.
type Stream uint8

// The streams.
const (
	Stdout Stream = iota
	Stderr
	streams
)

// Chunk is output of one stream.
type Chunk struct {
	Stream Stream
	Data   []byte
	// Lost is how many bytes of the stream were dropped before Data.
	Lost int64
}

// Output keeps what a process prints until it is read.
type Output struct {
	budget *Budget
	owner  uint32

	mu     sync.Mutex
	moved  *sync.Cond // anything below has changed
	chunks []Chunk    // oldest first; their Lost is in lost
	size   int        // of their data
	lost   [streams]int64
	reader *Reader // nil: nobody reads
	drain  bool    // the process has ended: what comes is the rest
	ended  bool    // nothing comes any more
	orphan bool    // nobody can attach any more
	err    error   // what the last reader is told at the end; nil: io.EOF
}

// NewOutput returns an Output that nobody reads yet.
func NewOutput(owner uint32, budget *Budget) *Output {
	o := &Output{budget: budget, owner: owner}
	o.moved = sync.NewCond(&o.mu)
	return o
}

// Write keeps a copy of b. It waits for the reader, if there is one and it is
// behind, and never otherwise.
func (o *Output) Write(s Stream, b []byte) {
	for len(b) > 0 {
		n := min(len(b), maxChunk)
		o.write(s, b[:n])
		b = b[n:]
	}
}

func (o *Output) write(s Stream, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.take(len(b)) {
		switch {
		case o.size == 0 || o.reader != nil && o.drain:
			// The rest of a process that has ended is no more than its pipes hold.
			o.budget.force(o.owner, len(b))
		case o.reader != nil:
			o.moved.Wait()
			continue
		case o.size+len(b) > MaxOutput:
			o.drop(o.size + len(b) - MaxOutput)
			continue
		default:
			o.drop(len(b))
			continue
		}
		break
	}
	o.size += len(b)
	if last := len(o.chunks) - 1; last >= 0 && o.chunks[last].Stream == s && len(o.chunks[last].Data)+len(b) <= maxChunk {
		o.chunks[last].Data = append(o.chunks[last].Data, b...)
	} else {
		o.chunks = append(o.chunks, Chunk{Stream: s, Data: append([]byte(nil), b...)})
	}
	if o.orphan && o.reader == nil {
		o.clear()
	}
	o.moved.Broadcast()
}

// take counts n more bytes, if they fit. o.mu is held, as it is below.
func (o *Output) take(n int) bool {
	return o.size+n <= MaxOutput && len(o.chunks) < maxChunks && o.budget.take(o.owner, n)
}

// drop drops n of the oldest bytes, and a chunk where there are many.
func (o *Output) drop(n int) {
	if len(o.chunks) >= maxChunks {
		n = max(n, len(o.chunks[0].Data))
	}
	for n > 0 && len(o.chunks) > 0 {
		c := &o.chunks[0]
		k := min(n, len(c.Data))
		c.Data = c.Data[k:]
		o.lost[c.Stream] += int64(k)
		o.free(k)
		n -= k
		if len(c.Data) == 0 {
			o.shift()
		}
	}
}

// free uncounts n bytes.
func (o *Output) free(n int) {
	o.size -= n
	o.budget.give(o.owner, n)
}

// shift removes the oldest chunk.
func (o *Output) shift() Chunk {
	c := o.chunks[0]
	o.chunks[0] = Chunk{}
	o.chunks = o.chunks[1:]
	return c
}

// Drain says that the process has ended: no write waits from now on.
func (o *Output) Drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drain = true
	o.moved.Broadcast()
}

// End says that nothing comes any more. What a reader is told after the rest is
// err, or io.EOF.
func (o *Output) End(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended, o.err = true, err
	o.moved.Broadcast()
}

// Orphan drops what is kept, once the present reader, if any, is done.
func (o *Output) Orphan() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.orphan = true
	if o.reader == nil {
		o.clear()
	}
}

func (o *Output) clear() {
	o.free(o.size)
	o.chunks = nil
}
