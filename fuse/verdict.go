package fuse

import (
	"sync/atomic"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// standing is what a view shows of one entry.
type standing uint32

const (
	unknown  standing = iota // not worked out yet
	hidden                   // nothing
	bare                     // a directory, because something below is visible
	named                    // name and attributes
	readable                 // content too
)

func (s standing) visible() bool { return s > hidden }

const (
	standingBits    = 4
	standingMask    = 1<<standingBits - 1
	standingsInWord = 32 / standingBits
)

// verdicts works out and remembers the standing of entries. A standing follows
// from tree and policy alone, so workers that race to the same one store the
// same bits, and no lock is needed.
type verdicts struct {
	tree   *tree.Tree
	memo   []atomic.Uint32             // standings, packed
	places []atomic.Pointer[directory] // by node, directories only
}

// directory is what is remembered of a directory beside its standing.
type directory struct {
	cursor  policy.Cursor
	hash    pathHash
	listing atomic.Pointer[listing]
}

// listing is the visible children of one directory, in order of name.
type listing struct {
	first tree.Node
	count int
	nodes []tree.Node // nil if all children are visible
}

func (l *listing) at(i int) tree.Node {
	if l.nodes == nil {
		return l.first + tree.Node(i)
	}
	return l.nodes[i]
}

func newVerdicts(t *tree.Tree, p *policy.Policy) *verdicts {
	v := &verdicts{
		tree:   t,
		memo:   make([]atomic.Uint32, t.Len()/standingsInWord+1),
		places: make([]atomic.Pointer[directory], t.Len()),
	}
	v.places[tree.Root].Store(&directory{cursor: p.Root(), hash: rootHash})
	return v
}

func (v *verdicts) recall(n tree.Node) standing {
	return standing(v.memo[n/standingsInWord].Load()>>(n%standingsInWord*standingBits)) & standingMask
}

func (v *verdicts) remember(n tree.Node, s standing) {
	v.memo[n/standingsInWord].Or(uint32(s) << (n % standingsInWord * standingBits))
}

// standing returns what the view shows of n. The root is always visible.
func (v *verdicts) standing(n tree.Node) standing {
	if s := v.recall(n); s != unknown {
		return s
	}
	if n == tree.Root {
		return v.judge(n, v.directory(n).cursor)
	}
	return v.judge(n, v.directory(v.tree.Parent(n)).cursor.Child(v.tree.Name(n)))
}

func (v *verdicts) judge(n tree.Node, at policy.Cursor) standing {
	s := hidden
	switch at.Verdict().Level {
	case policy.View:
		s = named
	case policy.Read, policy.Write:
		s = readable
	default:
		if n == tree.Root || v.reveals(n, at) {
			s = bare
		}
	}
	v.remember(n, s)
	return s
}

// reveals reports whether anything below n is visible.
func (v *verdicts) reveals(n tree.Node, at policy.Cursor) bool {
	if v.tree.Kind(n) != tree.Dir || !at.MayReveal() {
		return false
	}
	first, end := v.tree.Range(n)
	for c := first; c < end; c++ {
		s := v.recall(c)
		if s == unknown {
			s = v.judge(c, at.Child(v.tree.Name(c)))
		}
		if s.visible() {
			return true
		}
	}
	return false
}

// directory returns what is remembered of directory n.
func (v *verdicts) directory(n tree.Node) *directory {
	if d := v.places[n].Load(); d != nil {
		return d
	}
	parent, name := v.directory(v.tree.Parent(n)), v.tree.Name(n)
	d := &directory{cursor: parent.cursor.Child(name), hash: parent.hash.child(name)}
	if !v.places[n].CompareAndSwap(nil, d) {
		d = v.places[n].Load()
	}
	return d
}

// hash returns the path hash of n.
func (v *verdicts) hash(n tree.Node) pathHash {
	if n == tree.Root {
		return rootHash
	}
	return v.directory(v.tree.Parent(n)).hash.child(v.tree.Name(n))
}

// list returns the visible children of directory n.
func (v *verdicts) list(n tree.Node) *listing {
	d := v.directory(n)
	if l := d.listing.Load(); l != nil {
		return l
	}
	first, end := v.tree.Range(n)
	l := &listing{first: first, count: int(end - first)}
	var nodes []tree.Node
	for c := first; c < end; c++ {
		s := v.recall(c)
		if s == unknown {
			s = v.judge(c, d.cursor.Child(v.tree.Name(c)))
		}
		if s.visible() {
			nodes = append(nodes, c)
		}
	}
	if len(nodes) < l.count {
		l.count, l.nodes = len(nodes), append([]tree.Node{}, nodes...)
	}
	d.listing.Store(l)
	return l
}
