package api

import "sync"

// quota counts what each owner has of a resource at the moment.
type quota struct {
	resource string // as errors name it
	text     string // what is not allowed, with %d for the limit

	mu     sync.Mutex
	counts map[uint32]int
}

// take counts n more of an owner's, or returns an error above the limit. Release
// must be called once.
func (q *quota) take(owner uint32, n, limit int) (release func(), err error) {
	if !q.more(owner, n, limit) {
		return nil, overLimit(q.resource, int64(limit), q.text, limit)
	}
	return func() { q.give(owner, n) }, nil
}

// more counts n more of an owner's, unless that is above the limit.
func (q *quota) more(owner uint32, n, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counts[owner]+n > limit {
		return false
	}
	if q.counts == nil {
		q.counts = make(map[uint32]int)
	}
	q.counts[owner] += n
	return true
}

func (q *quota) give(owner uint32, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if left := q.counts[owner] - n; left > 0 {
		q.counts[owner] = left
	} else {
		delete(q.counts, owner)
	}
}
