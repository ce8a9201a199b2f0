package process

import "sync"

// Budget bounds what the outputs of each owner take together.
type Budget struct {
	max int

	mu   sync.Mutex
	used map[uint32]int
}

// NewBudget returns a budget of so many bytes for each owner.
func NewBudget(most int) *Budget { return &Budget{max: most, used: map[uint32]int{}} }

// take counts n more bytes, if there is room for them.
func (b *Budget) take(owner uint32, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used[owner]+n > b.max {
		return false
	}
	b.used[owner] += n
	return true
}

// force counts n more bytes whether there is room or not.
func (b *Budget) force(owner uint32, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used[owner] += n
}

func (b *Budget) give(owner uint32, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used[owner] -= n; b.used[owner] == 0 {
		delete(b.used, owner)
	}
}
