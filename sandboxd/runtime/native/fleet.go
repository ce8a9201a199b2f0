package native

import (
	"context"
	"sync"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Fleet is the instances of one runtime. Its zero value is ready to use.
type Fleet struct {
	mu      sync.Mutex
	closed  bool
	members map[*Instance]struct{}
}

// Add takes charge of an instance until it ends, or returns runtime.ErrEnded.
func (f *Fleet) Add(i *Instance) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return runtime.ErrEnded
	}
	if f.members == nil {
		f.members = map[*Instance]struct{}{}
	}
	f.members[i] = struct{}{}
	i.forget = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.members, i)
	}
	return nil
}

// Close ends every instance, all at once, and admits no others.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.closed = true
	var wg sync.WaitGroup
	for i := range f.members {
		wg.Go(func() { _ = i.Close(context.Background()) })
	}
	f.mu.Unlock()
	wg.Wait()
}
