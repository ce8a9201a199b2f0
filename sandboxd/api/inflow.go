package api

import (
	"context"
	"net"
	"runtime/metrics"
	"sync"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// inflow bounds what the messages of each user hold in memory: those that are
// not complete, those that no call has read yet, the last one that each call has
// read, and answers that the user does not read. A user who has half of it gets no
// further calls; who has all of it loses the connection that holds most. It is a
// [stats.Handler].
type inflow struct {
	most int64 // bytes for each user
	live func() uint64

	mu    sync.Mutex
	users map[uint32]*received
}

// received is what came from one user, with the answers to it.
type received struct {
	held  int64
	conns map[*countedConn]struct{}
}

func newInflow(most int64) *inflow {
	return &inflow{most: most, live: liveHeap, users: map[uint32]*received{}}
}

// countedConn counts what is read from it, and answers until they are written.
type countedConn struct {
	net.Conn
	flow *inflow
	user *received
	uid  uint32

	// Below flow's mutex.
	held   int64 // of what was read
	unread int64 // of answers
	calls  int
	gone   bool
}

func (c *countedConn) all() int64 { return c.held + c.unread }

func (f *inflow) count(conn net.Conn, uid uint32) *countedConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[uid]
	if u == nil {
		u = &received{conns: map[*countedConn]struct{}{}}
		f.users[uid] = u
	}
	c := &countedConn{Conn: conn, flow: f, user: u, uid: uid}
	u.conns[c] = struct{}{}
	return c
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.flow.add(c, int64(n))
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.flow.mu.Lock()
	defer c.flow.mu.Unlock()
	c.written(int64(n))
	return n, err
}

// Close forgets what the connection holds.
func (c *countedConn) Close() error {
	f := c.flow
	f.mu.Lock()
	c.forget()
	delete(c.user.conns, c)
	c.gone = true
	if len(c.user.conns) == 0 {
		delete(f.users, c.uid)
	}
	f.mu.Unlock()
	return c.Conn.Close()
}

// settle takes back what was counted, below flow's mutex.
func (c *countedConn) settle(n int64) {
	n = min(n, c.held)
	c.held -= n
	c.user.held -= n
}

// written takes back so much of the answers, below flow's mutex.
func (c *countedConn) written(n int64) {
	n = min(n, c.unread)
	c.unread -= n
	c.user.held -= n
}

// forget takes back all, below flow's mutex.
func (c *countedConn) forget() {
	c.settle(c.held)
	c.written(c.unread)
}

func (f *inflow) add(c *countedConn, n int64) { f.grow(c, n, &c.held) }

// answerHead is what goes before a message: the heads of gRPC and of one frame.
const answerHead = 5 + 9

// answer counts an answer that is about to be sent.
func (f *inflow) answer(ctx context.Context, message any) {
	c, err := caller(ctx)
	m, ok := message.(proto.Message)
	if err == nil && ok && c.conn != nil {
		f.grow(c.conn, answerHead+int64(proto.Size(m)), &c.conn.unread)
	}
}

func (f *inflow) grow(c *countedConn, n int64, of *int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.gone {
		return
	}
	*of += n
	c.user.held += n
	if !f.exceeds(c.user, f.most) {
		return
	}
	largest := c
	for other := range c.user.conns {
		if other.all() > largest.all() {
			largest = other
		}
	}
	largest.forget()
	_ = largest.Conn.Close() // its reader finds out, and calls Close
}

// exceeds reports whether a user holds more. Headers and calls that were broken
// off are counted for as long as their connection has other calls, and answers
// that were broken off for as long as it is there; so it looks first whether that
// much can be there at all. Live is as of the last garbage collection, and so at
// least half of what there is.
func (f *inflow) exceeds(u *received, limit int64) bool {
	if u.held <= limit {
		return false
	}
	if int64(f.live()) >= limit/4 {
		return true
	}
	for c := range u.conns {
		c.forget()
	}
	return false
}

func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// admit refuses a call of a user whose messages hold too much already.
func (f *inflow) admit(c Caller) error {
	if c.conn == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.exceeds(c.conn.user, f.most/2) {
		return overLimit("message-bytes-per-owner", f.most/2, "messages of more than %d bytes are being received and worked on", f.most/2)
	}
	return nil
}

// callBytes is the last message of one call.
type callBytes struct {
	conn *countedConn
	last int64
}

type callBytesKey struct{}

// TagRPC gives a call its own count.
func (f *inflow) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(Caller); ok && c.conn != nil {
			return context.WithValue(ctx, callBytesKey{}, &callBytes{conn: c.conn})
		}
	}
	return ctx
}

// HandleRPC settles what a call has done with.
func (f *inflow) HandleRPC(ctx context.Context, s stats.RPCStats) {
	b, ok := ctx.Value(callBytesKey{}).(*callBytes)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		b.conn.calls++
	case *stats.InPayload:
		b.conn.settle(b.last)
		b.last = int64(s.WireLength)
	case *stats.End:
		b.conn.settle(b.last)
		b.last = 0
		if b.conn.calls--; b.conn.calls == 0 {
			b.conn.settle(b.conn.held)
		}
	}
}

// TagConn does nothing.
func (f *inflow) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (f *inflow) HandleConn(context.Context, stats.ConnStats) {}
