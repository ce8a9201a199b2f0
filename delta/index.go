package delta

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// settleTime is how long a file must have been left alone before it was hashed
// for its times to prove, later, that it is still the same: the kernel's clock
// for them is coarse.
const settleTime = 20 * time.Millisecond

// stamp is what stat tells of a file's identity and content.
type stamp struct {
	ino          uint64
	size         int64
	mtime, ctime int64
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

// index remembers digests of files, so that a diff hashes only what changed
// since the last one.
type index struct {
	last, next map[stamp]tree.Digest
}

// begin starts a diff, and end drops what it did not meet.
func (x *index) begin() { x.next = map[stamp]tree.Digest{} }
func (x *index) end()   { x.last, x.next = x.next, nil }

func (x *index) lookup(s stamp) (tree.Digest, bool) {
	d, ok := x.last[s]
	if ok {
		x.next[s] = d
	}
	return d, ok
}

func (x *index) remember(s stamp, d tree.Digest, hashed time.Time) {
	if time.Unix(0, s.ctime).Add(settleTime).Before(hashed) {
		x.next[s] = d
	}
}
