package sandbox

import (
	"context"
	"runtime"
	"sync"
)

// startsAtOnce is how many sandboxes of one owner start at the same time. More
// would not be ready sooner, and each would take longer than it may.
func startsAtOnce() int { return max(8, 4*runtime.GOMAXPROCS(0)) }

// starts lets the starts of each owner come one after the other where there are
// many. Owners do not wait for each other.
type starts struct {
	most int

	mu    sync.Mutex
	gates map[uint32]*gate
}

type gate struct {
	places chan struct{} // holds one for each start under way
	users  int           // that start or wait
}

func newStarts(most int) *starts { return &starts{most: most, gates: map[uint32]*gate{}} }

// enter returns when a start of the owner may begin; leave says that it is over.
func (s *starts) enter(ctx context.Context, owner uint32) (leave func(), err error) {
	s.mu.Lock()
	g := s.gates[owner]
	if g == nil {
		g = &gate{places: make(chan struct{}, s.most)}
		s.gates[owner] = g
	}
	g.users++
	s.mu.Unlock()
	select {
	case g.places <- struct{}{}:
		return func() {
			<-g.places
			s.forget(owner, g)
		}, nil
	case <-ctx.Done():
		s.forget(owner, g)
		return nil, ctx.Err()
	}
}

func (s *starts) forget(owner uint32, g *gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(s.gates, owner)
	}
}
