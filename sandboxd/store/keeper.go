package store

import (
	"sync"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// keeper says what a collection must leave alone because it is in use now.
// Whoever relies on an object or a tree holds it first and looks whether it is
// there second; whoever removes one does so within remove. So either the
// remover sees the hold, or the holder sees the absence.
//
// What was let go while a collection runs stays held until its end: by then it
// may belong to a tree or head that the collection looked for too early.
type keeper struct {
	mu      sync.Mutex
	running bool
	objects holds
	trees   holds
}

// holds counts users by digest. late is what was let go during a collection.
type holds struct {
	count map[tree.Digest]int
	late  map[tree.Digest]struct{}
}

func (k *keeper) init() {
	k.objects.count, k.trees.count = map[tree.Digest]int{}, map[tree.Digest]int{}
}

func (k *keeper) hold(h *holds, d tree.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.count[d]++
}

func (k *keeper) release(h *holds, d tree.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.releaseLocked(h, d)
}

func (k *keeper) releaseLocked(h *holds, d tree.Digest) {
	if h.count[d]--; h.count[d] <= 0 {
		delete(h.count, d)
	}
	if k.running {
		h.late[d] = struct{}{}
	}
}

func (k *keeper) releaseObjects(all map[tree.Digest]int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for d := range all {
		k.releaseLocked(&k.objects, d)
	}
}

// begin starts a collection, end ends it.
func (k *keeper) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = true
	k.objects.late, k.trees.late = map[tree.Digest]struct{}{}, map[tree.Digest]struct{}{}
}

func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = false
	k.objects.late, k.trees.late = nil, nil
}

// remove calls fn unless d is held, and lets nobody hold it meanwhile.
func (k *keeper) remove(h *holds, d tree.Digest, fn func() error) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, late := h.late[d]; late || h.count[d] > 0 {
		return false, nil
	}
	return true, fn()
}
