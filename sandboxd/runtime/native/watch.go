package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// watch is one Watch. The worker sends events only when it is asked for them,
// so at most one batch, and the last, is ever held here.
type watch struct {
	inst    *Instance
	id      uint32
	started chan error // one value
	begun   bool       // started was sent; receive's own
	batches chan []runtime.FileEvent
	asked   atomic.Bool
	over    atomic.Bool // no more comes
	err     error       // why, set before batches is closed
	waiting bool        // for what was asked for; Next's own
}

// Watch begins to watch a directory.
func (i *Instance) Watch(ctx context.Context, path string, recursive bool) (runtime.Watch, error) {
	w := &watch{inst: i, started: make(chan error, 1), batches: make(chan []runtime.FileEvent, 2)}
	id, err := i.begin(w, func(id uint32) worker.Message {
		return &worker.Watch{ID: id, Path: path, Recursive: recursive}
	})
	if err == nil {
		w.id = id
		select {
		case err = <-w.started:
		case <-ctx.Done():
			w.Close()
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return w, nil
}

// Next asks for events and waits for them.
func (w *watch) Next(ctx context.Context) ([]runtime.FileEvent, error) {
	if !w.waiting && !w.over.Load() {
		w.asked.Store(true)
		if err := w.inst.link.send(&worker.Next{ID: w.id}); err != nil {
			w.inst.end(err)
		}
		w.waiting = true
	}
	select {
	case events, ok := <-w.batches:
		w.waiting = false
		if !ok {
			return nil, w.err
		}
		return events, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close tells the worker to end the watch, and does not wait for it.
func (w *watch) Close() {
	if !w.over.Load() {
		w.inst.cancel(w.id)
	}
}

// cancel tells the worker to end a call, which may have ended by itself.
func (i *Instance) cancel(id uint32) {
	if err := i.link.send(&worker.Cancel{ID: id}); err != nil {
		i.end(err)
	}
}

func (w *watch) receive(m worker.Message, files []*os.File) (bool, error) {
	if len(files) > 0 {
		return false, errors.New("file in an answer to watch")
	}
	switch m := m.(type) {
	case *worker.Result:
		var err error
		if m.Errno != 0 {
			err = syscall.Errno(m.Errno)
		}
		if w.begun {
			return false, errors.New("second answer to watch")
		}
		w.begun = true
		w.started <- err
		if err != nil {
			w.finish(err)
		}
		return err == nil, nil
	case *worker.Events:
		if !w.begun || !m.Last && (len(m.Events) == 0 || !w.asked.Swap(false)) {
			return false, errors.New("events that nobody asked for")
		}
		if len(m.Events) > 0 {
			events := make([]runtime.FileEvent, len(m.Events))
			for n, e := range m.Events {
				if e.Path != "" && !below(e.Path) {
					return false, fmt.Errorf("%.100q among events", e.Path)
				}
				events[n] = runtime.FileEvent{Change: runtime.FileChange(e.Change), Path: e.Path, Dir: e.Dir}
			}
			w.batches <- events
		}
		if m.Last {
			w.finish(io.EOF)
		}
		return !m.Last, nil
	}
	return false, errors.New("wrong answer to watch")
}

func (w *watch) finish(err error) {
	w.err = err
	w.over.Store(true)
	close(w.batches)
}

func (w *watch) abandon() {
	select {
	case w.started <- runtime.ErrEnded:
	default:
	}
	w.finish(runtime.ErrEnded)
}
