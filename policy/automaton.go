package policy

import (
	"math/bits"
	"slices"
)

// bitset is a set of positions.
type bitset []uint64

func (s bitset) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s bitset) add(i int)      { s[i>>6] |= 1 << (i & 63) }

// firstBit returns the lowest bit of a that is set in mask too, or -1.
func firstBit(a, mask bitset) int {
	for w, x := range a {
		if x &= mask[w]; x != 0 {
			return w*64 + bits.TrailingZeros64(x)
		}
	}
	return -1
}

// automaton runs all rules at once over the components of a path.
//
// A position is a place in an alternative: before one of its components, or
// behind the last. The alternatives lie one behind the other, the rule that
// wins over all others first, so of the positions that accept, the lowest is
// that of the rule that decides.
type automaton struct {
	words int
	start bitset
	rule  []int32          // of each position
	globs []*glob          // of each position, or nil
	names map[string][]int // positions that want exactly this name

	literals [][]string // directories in which a write rule names every entry

	any    bitset // before a component that every name matches
	stay   bitset // before a `**`
	skip   bitset // before a `**` that is not the last component
	some   bitset // before a component with a glob
	accept bitset // where the rule matches

	covers bitset // everything below matches the rule
	opens  bitset // something below may match, and the level is above None
	writes bitset // something below may match, and the level is Write
	alters bitset // something below may match and be other than plain or hidden
}

func newAutomaton(rules []Rule, matchers []matcher, order []int) automaton {
	size := 0
	for _, m := range matchers {
		for _, alt := range m.alternatives {
			size += len(alt) + 1
		}
	}
	a := automaton{
		words: (size + 63) / 64,
		rule:  make([]int32, 0, size),
		globs: make([]*glob, size),
		names: map[string][]int{},
	}
	for _, s := range []*bitset{
		&a.start, &a.any, &a.stay, &a.skip, &a.some, &a.accept, &a.covers, &a.opens, &a.writes, &a.alters,
	} {
		*s = make(bitset, a.words)
	}
	for _, i := range order {
		for _, alt := range matchers[i].alternatives {
			a.add(alt, i, rules[i].Level)
			if dir := alt.directory(); rules[i].Level == Write && dir != nil {
				a.literals = append(a.literals, dir)
			}
		}
	}
	return a
}

// add appends the positions of one alternative.
func (a *automaton) add(alt alternative, rule int, level Level) {
	base := len(a.rule)
	a.start.add(base)
	for i, c := range alt {
		pos, last := base+i, i == len(alt)-1
		a.rule = append(a.rule, int32(rule))
		switch c.kind {
		case exactly:
			a.names[c.name] = append(a.names[c.name], pos)
		case anyName:
			a.any.add(pos)
		case anyDepth:
			a.stay.add(pos)
			if !last {
				a.skip.add(pos)
			} else {
				a.accept.add(pos)
			}
		case someName:
			a.some.add(pos)
			a.globs[pos] = c.glob
		}
		if alt[i:].coversBelow() {
			a.covers.add(pos)
		}
		if level > None {
			a.opens.add(pos)
		}
		if level == Write {
			a.writes.add(pos)
		}
		if level > None || alt.endsInAnyName() {
			a.alters.add(pos)
		}
	}
	if len(alt) == 0 || alt[len(alt)-1].kind != anyDepth {
		a.accept.add(len(a.rule))
		a.rule = append(a.rule, int32(rule))
	}
}

// coversBelow reports whether any one component or more match.
func (a alternative) coversBelow() bool {
	depths, names := 0, 0
	for _, c := range a {
		switch c.kind {
		case anyDepth:
			depths++
		case anyName:
			names++
		default:
			return false
		}
	}
	return depths > 0 && names <= 1
}

// endsInAnyName reports whether a fresh name can be the first that matches on
// its way down.
func (a alternative) endsInAnyName() bool {
	for _, c := range slices.Backward(a) {
		if c.kind != anyDepth {
			return c.kind == anyName
		}
	}
	return true
}

// directory returns the literal directory whose entries all match, or nil.
func (a alternative) directory() []string {
	var names []string
	for len(a) > 0 && a[0].kind == exactly {
		if len(a[0].name) > maxName {
			return nil
		}
		names = append(names, a[0].name)
		a = a[1:]
	}
	if len(a) == 1 && a[0].kind == anyName || a.coversBelow() {
		return names
	}
	return nil
}

// maxName is the most bytes that a name can have on Linux.
const maxName = 255

// close adds the positions behind every `**`, which may match nothing.
func (a *automaton) close(s bitset) {
	carry := uint64(0)
	for w := range s {
		s[w] |= carry
		x := s[w] & a.skip[w]
		s[w] |= x << 1
		carry = x >> 63
	}
}

// fresh steps from src over a name that only `*` and `**` match.
func (a *automaton) fresh(dst, src bitset) {
	carry := uint64(0)
	for w, x := range src {
		step := x & a.any[w]
		dst[w] = x&a.stay[w] | step<<1 | carry
		carry = step >> 63
	}
}

// step steps from src over a name. Both have all the automaton's words.
func (a *automaton) step(dst, src bitset, name string) {
	a.fresh(dst, src)
	for _, pos := range a.names[name] {
		if src.has(pos) {
			dst.add(pos + 1)
		}
	}
	for w, x := range src {
		for x &= a.some[w]; x != 0; x &= x - 1 {
			pos := w*64 + bits.TrailingZeros64(x)
			if a.globs[pos].match(name) {
				dst.add(pos + 1)
			}
		}
	}
	a.close(dst)
}
