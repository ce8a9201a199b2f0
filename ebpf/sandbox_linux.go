package ebpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	goebpf "github.com/cilium/ebpf"
)

// Sandbox is one PID namespace that is watched.
type Sandbox struct {
	watcher *Watcher
	id      uint64
	slot    uint32
	inum    uint32
	sink    func(Event)

	mu      sync.Mutex
	allowed uint64
	seen    uint64
	told    *sync.Cond // seen grew
	closed  bool
}

// Track watches the PID namespace of a process, and of all below it. Nothing is
// told before Allow. The sink is called from one goroutine, which it holds up.
func (w *Watcher) Track(pid int, sink func(Event)) (*Sandbox, error) {
	st, err := os.Stat(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return nil, fmt.Errorf("cannot find the PID namespace to watch: %w", err)
	}
	s := &Sandbox{watcher: w, inum: uint32(st.Sys().(*syscall.Stat_t).Ino), sink: sink}
	s.told = sync.NewCond(&s.mu)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.slot, err = w.takeSlot(); err != nil {
		return nil, err
	}
	w.lastID++
	s.id = w.lastID
	err = errors.Join(
		w.objects.Slots.Put(s.slot, refusalsSlot{}),
		w.objects.Allowed.Put(s.slot, uint64(0)),
		w.objects.Sandboxes.Put(s.inum, refusalsSandbox{Slot: s.slot, Id: s.id}),
	)
	if err != nil {
		w.free = append(w.free, s.slot)
		return nil, fmt.Errorf("cannot watch a sandbox: %w", err)
	}
	w.byID[s.id] = s
	return s, nil
}

// takeSlot returns a slot that no sandbox uses; w.mu is held.
func (w *Watcher) takeSlot() (uint32, error) {
	if n := len(w.free); n > 0 {
		slot := w.free[n-1]
		w.free = w.free[:n-1]
		return slot, nil
	}
	if w.used == maxSandboxes {
		return 0, ErrTooManySandboxes
	}
	w.used++
	return w.used - 1, nil
}

// Allow lets the sandbox tell at least n events more; what comes above is
// dropped, and counted.
func (s *Sandbox) Allow(n uint64) error {
	var now refusalsSlot
	if err := s.watcher.objects.Slots.Lookup(s.slot, &now); err != nil {
		return fmt.Errorf("cannot read the counts of a sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := now.Emitted + n; limit > s.allowed {
		s.allowed = limit
		if err := s.watcher.objects.Allowed.Put(s.slot, limit); err != nil {
			return fmt.Errorf("cannot allow events: %w", err)
		}
	}
	return nil
}

// Sync returns when the sink has been called for every event before it, with
// the number of events that were ever dropped.
func (s *Sandbox) Sync(ctx context.Context) (dropped uint64, err error) {
	var now refusalsSlot
	if err := s.watcher.objects.Slots.Lookup(s.slot, &now); err != nil {
		return 0, fmt.Errorf("cannot read the counts of a sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen >= now.Emitted {
		return now.Dropped, nil
	}
	if err := s.watcher.reader.Flush(); err != nil {
		return now.Dropped, fmt.Errorf("cannot read pending events: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told.Broadcast()
	})
	defer stop()
	for s.seen < now.Emitted && ctx.Err() == nil && !s.closed {
		s.told.Wait()
	}
	return now.Dropped, ctx.Err()
}

func (s *Sandbox) take(e Event) {
	s.sink(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	s.told.Broadcast()
}

// Close stops watching. Nothing of the sandbox may run any more.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	done := s.closed
	s.closed = true
	s.told.Broadcast()
	s.mu.Unlock()
	if done {
		return nil
	}
	w := s.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, s.id)
	// The kernel may have given the number to a newer namespace by now.
	var at refusalsSandbox
	err := w.objects.Sandboxes.Lookup(s.inum, &at)
	if err == nil && at.Id == s.id {
		err = w.objects.Sandboxes.Delete(s.inum)
	}
	if errors.Is(err, goebpf.ErrKeyNotExist) {
		err = nil
	}
	w.free = append(w.free, s.slot)
	return err
}
