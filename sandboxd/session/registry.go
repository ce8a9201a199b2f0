package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

const (
	// DefaultIdle is the idle timeout of a session that asks for none.
	DefaultIdle = time.Hour
	// MaxPerSandbox and MaxPerOwner cap the sessions that are open.
	MaxPerSandbox = 64
	MaxPerOwner   = 4096
	// maxStates is how many bytes the states of an owner's shells that execute
	// themselves may take together.
	maxStates = 256 << 20
	// keepClosed is how long a session that has ended can be asked for, if
	// there are not more than maxClosed others of its sandbox.
	keepClosed = time.Hour
	maxClosed  = 64

	// LimitPerSandbox and LimitPerOwner name the caps in errors.
	LimitPerSandbox = "sessions-per-sandbox"
	LimitPerOwner   = "sessions-per-owner"
)

// Registry holds all sessions. Its zero value is ready to use.
type Registry struct {
	tasks sync.WaitGroup

	mu         sync.Mutex // above what follows
	stopped    bool
	known      map[string]*Session
	perOwner   map[uint32]int // open or being opened
	perSandbox map[string]int
	states     map[uint32]int // bytes, of shells that are being given them back
	requests   map[requestKey]*creation
}

// Find returns the session with an id, or ErrNotFound.
func (r *Registry) Find(id string) (*Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[id]; s != nil {
		return s, nil
	}
	return nil, ErrNotFound
}

// List returns the sessions of a sandbox, oldest first.
func (r *Registry) List(sandbox string) []Info {
	var list []Info
	for _, s := range r.all() {
		if info := s.Info(); info.Sandbox == sandbox {
			list = append(list, info)
		}
	}
	slices.SortFunc(list, func(a, b Info) int { return a.Created.Compare(b.Created) })
	return list
}

func (r *Registry) all() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Session, 0, len(r.known))
	for _, s := range r.known {
		list = append(list, s)
	}
	return list
}

// Destroy ends a session and forgets it. ErrNotFound means that somebody else
// was faster.
func (r *Registry) Destroy(ctx context.Context, s *Session) error {
	if err := s.Close(ctx, "it was destroyed"); err != nil {
		return err
	}
	if !r.Forget(s) {
		return ErrNotFound
	}
	return nil
}

// Forget drops a session that has ended, and reports whether it was still
// known.
func (r *Registry) Forget(s *Session) bool {
	s.mu.Lock()
	s.timer.Stop()
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	id := s.Info().ID
	if r.known[id] != s {
		return false
	}
	delete(r.known, id)
	for key, c := range r.requests {
		if c.s == s {
			delete(r.requests, key)
		}
	}
	return true
}

// closed is told when a session has ended.
func (r *Registry) closed(s *Session) {
	info := s.Info()
	defer r.release(info.Owner, info.Sandbox)
	s.mu.Lock()
	s.timer = time.AfterFunc(keepClosed, func() { r.Forget(s) })
	s.mu.Unlock()
	var others []*Session
	for _, o := range r.all() {
		if i := o.Info(); i.Sandbox == info.Sandbox && !i.Closed.IsZero() {
			others = append(others, o)
		}
	}
	slices.SortFunc(others, func(a, b *Session) int { return a.Info().Closed.Compare(b.Info().Closed) })
	for len(others) > maxClosed {
		r.Forget(others[0])
		others = others[1:]
	}
}

// reserve counts one more session, if that may be.
func (r *Registry) reserve(owner uint32, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
		return ErrStopped
	case r.perSandbox[id] >= MaxPerSandbox:
		return &sandbox.LimitError{Name: LimitPerSandbox, Limit: MaxPerSandbox}
	case r.perOwner[owner] >= MaxPerOwner:
		return &sandbox.LimitError{Name: LimitPerOwner, Limit: MaxPerOwner}
	}
	if r.perOwner == nil {
		r.perOwner, r.perSandbox = map[uint32]int{}, map[string]int{}
	}
	r.perOwner[owner]++
	r.perSandbox[id]++
	r.tasks.Add(1) // so that Close waits for what begins now
	return nil
}

func (r *Registry) release(owner uint32, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perOwner[owner]--; r.perOwner[owner] == 0 {
		delete(r.perOwner, owner)
	}
	if r.perSandbox[id]--; r.perSandbox[id] == 0 {
		delete(r.perSandbox, id)
	}
	r.tasks.Done()
}

// holdState counts n bytes more of an owner's shells' states, unless they are too
// many.
func (r *Registry) holdState(owner uint32, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.states[owner] + n
	switch {
	case n > 0 && sum > maxStates:
		return false
	case sum == 0:
		delete(r.states, owner)
		return true
	case r.states == nil:
		r.states = map[uint32]int{}
	}
	r.states[owner] = sum
	return true
}

// Close ends every session and waits for what the registry has started. The
// sandboxes should have ended before: then it does not take long.
func (r *Registry) Close() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	for _, s := range r.all() {
		s.end("the daemon was stopped")
	}
	r.tasks.Wait()
	for _, s := range r.all() {
		r.Forget(s)
	}
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return "sess_" + hex.EncodeToString(id[:])
}
