package policy

import "strings"

// near is how many words of positions a Cursor holds without an allocation.
const near = 2

// Cursor is a policy's decision on one path, ready to go on below it. It is an
// immutable value; the zero Cursor is a path that no rule matches and below
// which none can.
type Cursor struct {
	p    *Policy
	near [near]uint64
	far  bitset
}

func newCursor(p *Policy) Cursor {
	c := Cursor{p: p}
	if p.nfa.words > near {
		c.far = make(bitset, p.nfa.words)
	}
	return c
}

func (c *Cursor) positions() bitset {
	if c.p == nil || c.far != nil {
		return c.far
	}
	return c.near[:c.p.nfa.words]
}

// Root returns the cursor of the root.
func (p *Policy) Root() Cursor {
	c := newCursor(p)
	s := c.positions()
	copy(s, p.nfa.start)
	p.nfa.close(s)
	return c
}

// Child returns the cursor of an entry of this directory. The empty string, ".",
// ".." and what contains '/' or NUL are no names; they give the zero Cursor.
func (c Cursor) Child(name string) Cursor {
	if name == "" || name == "." || !validName(name) || strings.IndexByte(name, '/') >= 0 {
		return Cursor{}
	}
	return c.child(name)
}

// validName reports whether a component without '/' can be a name.
func validName(name string) bool {
	return name != ".." && strings.IndexByte(name, 0) < 0
}

func (c Cursor) child(name string) Cursor {
	if c.p == nil {
		return c
	}
	next := newCursor(c.p)
	c.p.nfa.step(next.positions(), c.positions(), name)
	return next
}

// Verdict returns the verdict on the path itself.
func (c Cursor) Verdict() Verdict {
	if c.p == nil {
		return Verdict{None, NoRule}
	}
	pos := firstBit(c.positions(), c.p.nfa.accept)
	if pos < 0 {
		return Verdict{None, NoRule}
	}
	rule := int(c.p.nfa.rule[pos])
	return Verdict{c.p.rules[rule].Level, rule}
}

// Creates returns the verdict that a fresh, unremarkable name in this directory
// gets: one that is matched only by components that match every name.
func (c Cursor) Creates() Verdict {
	if c.p == nil {
		return Verdict{None, NoRule}
	}
	next := newCursor(c.p)
	s := next.positions()
	c.p.nfa.fresh(s, c.positions())
	c.p.nfa.close(s)
	return next.Verdict()
}

// MayReveal reports whether something below this directory can have a level
// above None. It is false only if nothing can, whatever the names are.
func (c Cursor) MayReveal() bool {
	return c.p != nil && c.reaches(c.p.nfa.opens)
}

// mayWrite is MayReveal for level Write.
func (c Cursor) mayWrite() bool {
	return c.p != nil && c.reaches(c.p.nfa.writes)
}

// reaches reports whether a rule of the mask can win below this directory: it
// is still alive, and no rule that wins over it covers everything below.
func (c Cursor) reaches(mask bitset) bool {
	s := c.positions()
	first := firstBit(s, mask)
	if first < 0 {
		return false
	}
	cover := firstBit(s, c.p.nfa.covers)
	return cover < 0 || first <= cover
}

// settled reports that below this directory all that is visible is writable,
// and every directory is.
func (c Cursor) settled() bool {
	if c.p == nil {
		return false
	}
	s := c.positions()
	cover := firstBit(s, c.p.nfa.covers)
	return cover >= 0 && c.p.nfa.writes.has(cover) && firstBit(s, c.p.nfa.alters) == cover
}
