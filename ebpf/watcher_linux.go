package ebpf

import (
	"errors"
	"fmt"
	"sync"

	goebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
)

// maxSandboxes is MAX_SLOTS in bpf/refusals.bpf.c.
const maxSandboxes = 16384

// ErrTooManySandboxes means that no more sandboxes can be watched.
var ErrTooManySandboxes = errors.New("too many sandboxes to watch")

// Watcher is the program in the kernel and the reader of what it tells.
type Watcher struct {
	objects refusalsObjects
	link    link.Link
	reader  *ringbuf.Reader
	done    chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	lastID uint64
	byID   map[uint64]*Sandbox
	free   []uint32 // slots that were used before
	used   uint32   // slots that ever were
}

// OpenWatcher loads and attaches the program. The error says what the kernel
// refused; nothing is left then.
func OpenWatcher() (*Watcher, error) {
	w := &Watcher{done: make(chan struct{}), byID: map[uint64]*Sandbox{}}
	if err := loadRefusalsObjects(&w.objects, nil); err != nil {
		return nil, fmt.Errorf("cannot load the program that watches sandboxes: %w", err)
	}
	if err := w.start(); err != nil {
		return nil, errors.Join(err, w.objects.Close())
	}
	return w, nil
}

func (w *Watcher) start() error {
	for _, table := range []map[uint32]call{calls, archCalls} {
		for nr, c := range table {
			if err := w.objects.Calls.Put(nr, c); err != nil {
				return fmt.Errorf("cannot name the calls to watch: %w", err)
			}
		}
	}
	var err error
	if w.reader, err = ringbuf.NewReader(w.objects.Events); err != nil {
		return fmt.Errorf("cannot read the program's events: %w", err)
	}
	w.link, err = link.AttachTracing(link.TracingOptions{Program: w.objects.Refusal, AttachType: goebpf.AttachTraceRawTp})
	if err != nil {
		return errors.Join(fmt.Errorf("cannot attach the program that watches sandboxes: %w", err), w.reader.Close())
	}
	go w.read()
	return nil
}

// read hands events to the sandboxes that they came from until Close.
func (w *Watcher) read() {
	defer close(w.done)
	var record ringbuf.Record
	for {
		err := w.reader.ReadInto(&record)
		if errors.Is(err, ringbuf.ErrFlushed) {
			continue
		}
		if err != nil {
			return
		}
		id, event, err := decode(record.RawSample)
		if err != nil {
			continue // the program writes no such record
		}
		w.mu.Lock()
		s := w.byID[id]
		w.mu.Unlock()
		if s != nil {
			s.take(event)
		}
	}
}

// Close detaches the program and waits for the reader.
func (w *Watcher) Close() error {
	err := errors.Join(w.link.Close(), w.reader.Close())
	<-w.done
	return errors.Join(err, w.objects.Close())
}
