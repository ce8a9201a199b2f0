package process

import (
	"context"
	"slices"
	"sync"
)

// MaxEnded is how many processes that have ended a sandbox keeps.
const MaxEnded = 64

// Request is what makes spawning idempotent.
type Request struct {
	Caller    uint32
	SandboxID string
	ID        string // empty: it is not
}

// Table knows the processes of all sandboxes that run. Its zero value is not
// ready to use.
type Table struct {
	mu       sync.Mutex
	known    map[string]*Process
	order    map[string][]*Process // of a sandbox: as they began
	ended    map[string][]*Process // of a sandbox: as they ended
	requests map[Request]*spawning
}

// spawning is a process being started, for others with the same request to
// wait.
type spawning struct {
	done chan struct{} // closed when the two below are set
	p    *Process
	err  error
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		known: map[string]*Process{}, order: map[string][]*Process{},
		ended: map[string][]*Process{}, requests: map[Request]*spawning{},
	}
}

// Once starts a process, or returns the one that the same request has started.
// Spawn is called once at a time for one request, and again after a failure.
func (t *Table) Once(ctx context.Context, r Request, spawn func() (*Process, error)) (*Process, error) {
	if r.ID == "" {
		return spawn()
	}
	for {
		t.mu.Lock()
		s := t.requests[r]
		if s == nil {
			s = &spawning{done: make(chan struct{})}
			t.requests[r] = s
			t.mu.Unlock()
			s.p, s.err = spawn()
			t.settle(r, s)
			return s.p, s.err
		}
		t.mu.Unlock()
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if s.err == nil {
			return s.p, nil
		}
		// The other attempt failed; this one is on its own.
	}
}

// settle keeps a request for as long as its process is known.
func (t *Table) settle(r Request, s *spawning) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.err == nil {
		s.p.request = r
	}
	if s.err != nil || s.p.forgotten {
		delete(t.requests, r)
	}
	close(s.done)
}

// Add makes a process known until the sandbox ends, which watch tells of: it
// calls what it is given then, unless it is stopped.
func (t *Table) Add(p *Process, watch func(ended func()) (stop func() bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[p.ID] = p
	t.order[p.SandboxID] = append(t.order[p.SandboxID], p)
	p.unwatch = watch(func() { t.Forget(p) })
}

// Find returns a process, or nil.
func (t *Table) Find(id string) *Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[id]
}

// List returns the processes of a sandbox as they began.
func (t *Table) List(sandbox string) []*Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.order[sandbox])
}

// End notes how a process ended. Of those that ended, the oldest are forgotten
// where there are more than MaxEnded.
func (t *Table) End(p *Process, e Exit) {
	p.setExit(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.forgotten {
		return
	}
	ended := append(t.ended[p.SandboxID], p)
	t.ended[p.SandboxID] = ended
	if len(ended) > MaxEnded {
		t.forget(ended[0])
	}
}

// Forget makes a process unknown. Who is attached to it may read on.
func (t *Table) Forget(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(p)
}

// forget does it; t.mu is held.
func (t *Table) forget(p *Process) {
	if p.forgotten {
		return
	}
	p.forgotten = true
	p.unwatch()
	delete(t.known, p.ID)
	delete(t.requests, p.request)
	without(t.order, p)
	without(t.ended, p)
	p.Output.Orphan()
}

// without takes a process out of its sandbox's list.
func without(lists map[string][]*Process, p *Process) {
	list := slices.DeleteFunc(lists[p.SandboxID], func(other *Process) bool { return other == p })
	if len(list) == 0 {
		delete(lists, p.SandboxID)
		return
	}
	lists[p.SandboxID] = list
}
