package api

import "sync"

// quota counts what each owner has at the moment. Its zero value is ready to
// use.
type quota struct {
	mu     sync.Mutex
	counts map[uint32]int
}

// take counts one more of an owner's, or returns an error at the limit.
// Release must be called once.
func (q *quota) take(owner uint32, limit int) (release func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counts[owner] >= limit {
		return nil, overLimit("commands-per-owner", int64(limit), "%d commands run at once, more are not allowed", limit)
	}
	if q.counts == nil {
		q.counts = make(map[uint32]int)
	}
	q.counts[owner]++
	return func() { q.give(owner) }, nil
}

func (q *quota) give(owner uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counts[owner]--; q.counts[owner] == 0 {
		delete(q.counts, owner)
	}
}
