package process

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// watched is a sandbox that can end.
type watched struct {
	mu   sync.Mutex
	ends []func()
}

func (w *watched) watch(ended func()) func() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, ended)
	return func() bool { return true }
}

func (w *watched) end() {
	for _, f := range w.ends {
		f()
	}
}

func newProcess(sandbox string) *Process {
	return &Process{ID: NewID(), SandboxID: sandbox, Output: newOutput()}
}

func TestEndedProcessesAreBounded(t *testing.T) {
	table, w := NewTable(), &watched{}
	runs := newProcess("a")
	table.Add(runs, w.watch)
	other := newProcess("b")
	table.Add(other, w.watch)
	table.End(other, Exit{})
	var ended []*Process
	for range MaxEnded + 3 {
		p := newProcess("a")
		table.Add(p, w.watch)
		ended = append(ended, p)
	}
	for i := range ended { // not in the order in which they began
		table.End(ended[len(ended)-1-i], Exit{})
	}
	if got := len(table.List("a")); got != MaxEnded+1 {
		t.Errorf("%d processes are known", got)
	}
	for i, p := range ended {
		if known := table.Find(p.ID) != nil; known != (i < MaxEnded) {
			t.Errorf("process %d is known: %v", i, known)
		}
	}
	if table.Find(runs.ID) == nil || table.Find(other.ID) == nil {
		t.Error("what runs, or is another sandbox's, was forgotten")
	}
	w.end()
	if len(table.known)+len(table.order)+len(table.ended)+len(table.requests) != 0 {
		t.Errorf("something is left: %+v", table)
	}
}

func TestOneRequestStartsOneProcess(t *testing.T) {
	table, w := NewTable(), &watched{}
	key := Request{1, "a", "x"}
	var started atomic.Int32
	spawn := func() (*Process, error) {
		if started.Add(1) == 1 {
			return nil, errors.New("the first attempt fails")
		}
		p := newProcess("a")
		table.Add(p, w.watch)
		return p, nil
	}
	var all sync.WaitGroup
	var failed atomic.Int32
	ids := make([]string, 50)
	for i := range ids {
		all.Go(func() {
			p, err := table.Once(t.Context(), key, spawn)
			if err != nil {
				failed.Add(1)
				return
			}
			ids[i] = p.ID
		})
	}
	all.Wait()
	if started.Load() != 2 || failed.Load() != 1 {
		t.Errorf("started %d times, %d failed", started.Load(), failed.Load())
	}
	for _, other := range []Request{{1, "a", "y"}, {2, "a", "x"}, {1, "b", "x"}, {}, {}} {
		before := started.Load()
		if _, err := table.Once(t.Context(), other, spawn); err != nil || started.Load() != before+1 {
			t.Errorf("%+v did not start one of its own", other)
		}
	}
	w.end()
	before := started.Load()
	if _, err := table.Once(t.Context(), key, spawn); err != nil || started.Load() != before+1 {
		t.Error("a request outlives its process")
	}
}
