package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newOutput() *Output { return NewOutput(1, NewBudget(MaxOwnerOutput)) }

// rest reads until the end, which must come.
func rest(t interface{ Fatalf(string, ...any) }, r *Reader) (data [streams][]byte, lost [streams]int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		c, err := r.Next(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the output does not end")
		}
		if err != nil {
			return data, lost, err
		}
		data[c.Stream] = append(data[c.Stream], c.Data...)
		lost[c.Stream] += c.Lost
	}
}

func TestOutputKeepsTheNewest(t *testing.T) {
	o := newOutput()
	o.Write(Stderr, []byte("old"))
	for i := range 3 {
		o.Write(Stdout, bytes.Repeat([]byte{byte('a' + i)}, MaxOutput/2))
	}
	o.Write(Stderr, []byte("new"))
	o.End(nil)
	r := o.Attach()
	defer r.Close()
	data, lost, err := rest(t, r)
	if !errors.Is(err, io.EOF) || string(data[Stderr]) != "new" || lost[Stderr] != 3 {
		t.Errorf("stderr is %q after %d, end %v", data[Stderr], lost[Stderr], err)
	}
	if n := len(data[Stdout]); n != MaxOutput-3 || lost[Stdout] != MaxOutput/2+3 || data[Stdout][0] != 'b' || data[Stdout][n-1] != 'c' {
		t.Errorf("stdout has %d bytes after %d", n, lost[Stdout])
	}
}

func TestWhatIsLostIsCountedThoughNothingFollows(t *testing.T) {
	o := newOutput()
	o.Write(Stderr, []byte("gone"))
	o.Write(Stdout, make([]byte, MaxOutput))
	o.End(nil)
	r := o.Attach()
	defer r.Close()
	if _, lost, _ := rest(t, r); lost[Stderr] != 4 || lost[Stdout] != 0 {
		t.Errorf("lost %v", lost)
	}
}

// Whatever is written, and whoever comes and goes: what was read and what was
// lost is what was written, in its order.
func TestNothingIsLostUncounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(rapid.SampledFrom([]int{100, 100_000, MaxOwnerOutput}).Draw(t, "budget"))
		o := NewOutput(1, budget)
		var wrote, read [streams]int64
		var r *Reader
		check := func(c Chunk) {
			read[c.Stream] += c.Lost
			for _, b := range c.Data {
				if b != byte(read[c.Stream]%251) {
					t.Fatalf("byte %d of stream %d is %d", read[c.Stream], c.Stream, b)
				}
				read[c.Stream]++
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				if r != nil && o.size > 0 {
					continue // it may have to wait for this very goroutine
				}
				s := Stream(rapid.IntRange(0, 1).Draw(t, "stream"))
				b := make([]byte, rapid.SampledFrom([]int{1, 10, 1000, maxChunk}).Draw(t, "size"))
				for i := range b {
					b[i] = byte(wrote[s] % 251)
					wrote[s]++
				}
				o.Write(s, b)
			case 3:
				next := o.Attach()
				if r != nil {
					r.Close()
				}
				r = next
			case 4:
				if r != nil {
					r.Close()
					r = nil
				}
			case 5:
				if r == nil || len(o.chunks) == 0 {
					continue
				}
				c, err := r.Next(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if rapid.Bool().Draw(t, "unread") {
					r.Unread(c)
				} else {
					check(c)
				}
			}
			if o.size > MaxOutput+maxChunk {
				t.Fatalf("%d bytes are kept", o.size)
			}
		}
		if r != nil {
			r.Close()
		}
		o.End(nil)
		r = o.Attach()
		data, lost, err := rest(t, r)
		for s := range streams {
			check(Chunk{Stream: s, Data: data[s], Lost: lost[s]})
			if read[s] != wrote[s] {
				t.Fatalf("stream %d: %d bytes read or lost, %d written", s, read[s], wrote[s])
			}
		}
		r.Close()
		o.Orphan()
		if !errors.Is(err, io.EOF) || len(budget.used) != 0 {
			t.Fatalf("end is %v, budget %v", err, budget.used)
		}
	})
}

func TestWriterWaitsForItsReaderOnly(t *testing.T) {
	o := newOutput()
	wrote := make(chan struct{})
	write := func() {
		go func() {
			o.Write(Stdout, make([]byte, 3*MaxOutput))
			wrote <- struct{}{}
		}()
	}
	r := o.Attach()
	write()
	select {
	case <-wrote:
		t.Fatal("a process goes on though its reader does not read")
	case <-time.After(50 * time.Millisecond):
	}
	r.Close()
	<-wrote
	write()
	<-wrote
	r = o.Attach()
	defer r.Close()
	write()
	time.Sleep(20 * time.Millisecond)
	o.Drain() // the process has ended: this is what its pipes held
	<-wrote
	o.End(nil)
	if data, lost, _ := rest(t, r); len(data[Stdout]) != 4*MaxOutput || lost[Stdout] != 5*MaxOutput {
		t.Errorf("%d bytes read, %d lost", len(data[Stdout]), lost[Stdout])
	}
}

func TestNextReaderGoesOnWhereTheLastStopped(t *testing.T) {
	o := newOutput()
	o.Write(Stdout, []byte("abc"))
	first := o.Attach()
	c, err := first.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := o.Attach()
	third := o.Attach()
	<-first.Taken()
	<-second.Taken()
	if _, err := second.Next(t.Context()); !errors.Is(err, ErrTakenOver) {
		t.Errorf("second.Next() = %v", err)
	}
	second.Close()
	got := make(chan string)
	go func() {
		c, _ := third.Next(t.Context())
		got <- string(c.Data)
	}()
	select {
	case s := <-got:
		t.Fatalf("the third reader got %q before the first had let go", s)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := first.Next(t.Context()); !errors.Is(err, ErrTakenOver) {
		t.Errorf("first.Next() = %v", err)
	}
	first.Unread(c)
	first.Close()
	if s := <-got; s != "abc" {
		t.Errorf("the third reader got %q", s)
	}
	third.Close()
}

func TestBudgetIsTheOwners(t *testing.T) {
	budget := NewBudget(MaxOutput)
	mine, also, other := NewOutput(1, budget), NewOutput(1, budget), NewOutput(2, budget)
	mine.Write(Stdout, make([]byte, MaxOutput))
	also.Write(Stdout, make([]byte, MaxOutput))
	other.Write(Stdout, make([]byte, MaxOutput))
	if mine.size != MaxOutput || also.size > maxChunk || other.size != MaxOutput {
		t.Errorf("kept are %d, %d and %d bytes", mine.size, also.size, other.size)
	}
	for _, o := range []*Output{mine, also, other} {
		o.Orphan()
	}
	if len(budget.used) != 0 {
		t.Errorf("still used: %v", budget.used)
	}
}

func TestChangesOfStreamAreBounded(t *testing.T) {
	o := newOutput()
	for range maxChunks {
		o.Write(Stdout, []byte("o"))
		o.Write(Stderr, []byte("e"))
	}
	if len(o.chunks) > maxChunks {
		t.Errorf("%d chunks are kept", len(o.chunks))
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	r := newOutput().Attach()
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next() = %v", err)
	}
}
