package worker

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MaxLong is how many removals and watches there are at once.
const MaxLong = 32

// slotTime is how long a removal keeps its slot while others may want it.
const slotTime = 5 * time.Millisecond

// longCall is a call that may take any time. It works only while it holds one
// of the slots that all calls on files share, and gives others their turn.
type longCall struct {
	slots chan struct{}
	taken time.Time
	next  chan struct{} // one token for each Next
	stop  chan struct{} // closed by Cancel
	once  sync.Once
	// interrupt ends what a cancelled call waits for.
	interrupt func()
}

func (c *longCall) take() {
	c.slots <- struct{}{}
	c.taken = time.Now()
}

func (c *longCall) give() { <-c.slots }

// breathe is called by a call at work, often. It is false once it is cancelled.
func (c *longCall) breathe() bool {
	if c.cancelled() {
		return false
	}
	if time.Since(c.taken) > slotTime {
		c.give()
		c.take()
	}
	return true
}

func (c *longCall) cancelled() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// longCalls are those under way. The zero value is ready to use.
type longCalls struct {
	mu   sync.Mutex
	byID map[uint32]*longCall
}

// begin registers a call, unless there are too many.
func (l *longCalls) begin(id uint32, slots chan struct{}) (*longCall, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byID) >= MaxLong {
		return nil, unix.EUSERS
	}
	if l.byID == nil {
		l.byID = make(map[uint32]*longCall)
	}
	c := &longCall{slots: slots, next: make(chan struct{}, 1), stop: make(chan struct{}), interrupt: func() {}}
	l.byID[id] = c
	return c, nil
}

func (l *longCalls) end(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, id)
}

// onCancel sets what interrupts a call, at once if it is cancelled already.
func (l *longCalls) onCancel(c *longCall, interrupt func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.interrupt = interrupt
	if c.cancelled() {
		interrupt()
	}
}

func (l *longCalls) cancel(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		c.once.Do(func() { close(c.stop) })
		c.interrupt()
	}
}

func (l *longCalls) proceed(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		select {
		case c.next <- struct{}{}:
		default:
		}
	}
}

// handleFile takes the messages of filemessage.go.
func (s *initServer) handleFile(m Message) error {
	switch m := m.(type) {
	case *Stat:
		s.do(func() error { return stat(s.up, m) })
	case *Rename:
		s.do(func() error { return rename(s.up, m) })
	case *Remove:
		c, err := s.long.begin(m.ID, s.slots)
		if err != nil {
			return s.up.Send(&Removed{ID: m.ID, Errno: errnoOf(err), Path: m.Path})
		}
		go func() {
			defer s.long.end(m.ID)
			_ = s.up.Send(remove(m, c)) // a broken socket ends receive as well
		}()
	case *Watch:
		c, err := s.long.begin(m.ID, s.slots)
		if err != nil {
			return s.up.Send(&Result{ID: m.ID, Errno: errnoOf(err)})
		}
		go func() {
			defer s.long.end(m.ID)
			_ = s.watch(m, c) // likewise
		}()
	case *Next:
		s.long.proceed(m.ID)
	case *Cancel:
		s.long.cancel(m.ID)
	default:
		return errMalformed
	}
	return nil
}
