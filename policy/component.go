package policy

import (
	"errors"
	"strings"
)

type componentKind uint8

const (
	exactly  componentKind = iota // one name
	anyName                       // every name
	anyDepth                      // `**`
	someName                      // names that match a glob
)

// component is what one path component must match.
type component struct {
	kind componentKind
	name string // exactly
	glob *glob  // someName
}

// alternative is a pattern without braces, component by component.
type alternative []component

// components cuts a sequence without braces into components.
func components(tokens []token) (alternative, error) {
	alt := alternative{}
	for _, c := range split(tokens) {
		comp := newComponent(c)
		if comp.kind == exactly && comp.name == ".." {
			return nil, errors.New("'..' leads out of the codebase")
		}
		alt = append(alt, comp)
	}
	return alt, nil
}

func newComponent(tokens []token) component {
	var count [braceToken]int
	name := make([]byte, 0, len(tokens))
	for _, t := range tokens {
		count[t.kind]++
		name = append(name, t.lit)
	}
	stars, anyBytes := count[starToken], count[anyByteToken]
	switch {
	case count[literalToken] == len(tokens):
		return component{kind: exactly, name: string(name)}
	case stars == 2 && len(tokens) == 2:
		return component{kind: anyDepth}
	case stars > 0 && anyBytes <= 1 && stars+anyBytes == len(tokens):
		return component{kind: anyName}
	}
	return component{kind: someName, glob: newGlob(tokens)}
}

// normalize gives an alternative that spreads a `**` at the end, and writes what
// matches the same the same: `**/**/*` becomes `*/**`.
func (a alternative) normalize(spreads bool) alternative {
	if spreads {
		a = append(a, component{kind: anyDepth})
	}
	out := make(alternative, 0, len(a))
	deep := false
	for _, c := range a {
		if c.kind == anyDepth {
			deep = true
			continue
		}
		if deep && c.kind != anyName {
			out = append(out, component{kind: anyDepth})
			deep = false
		}
		out = append(out, c)
	}
	if deep {
		out = append(out, component{kind: anyDepth})
	}
	return out
}

// key is a text that equal alternatives share and others do not.
func (a alternative) key() string {
	var b strings.Builder
	for _, c := range a {
		b.WriteByte('/')
		switch c.kind {
		case exactly:
			b.WriteString("=" + c.name)
		case anyName:
			b.WriteByte('*')
		case anyDepth:
			b.WriteString("**")
		case someName:
			c.glob.writeKey(&b)
		}
	}
	return b.String()
}

// glob matches names: segments with any bytes between them.
type glob struct {
	segments []segment
	least    int // bytes in the segments together
}

// segment matches a fixed number of bytes. Its text is the literal bytes where
// sets is nil.
type segment struct {
	text string
	sets []*byteSet
}

var everyByte = &byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func newGlob(tokens []token) *glob {
	g := &glob{}
	start := 0
	for i := 0; i <= len(tokens); i++ {
		if i < len(tokens) && tokens[i].kind != starToken {
			continue
		}
		// Segments between two stars that stand together add nothing.
		if i > start || i == len(tokens) || start == 0 {
			g.segments = append(g.segments, newSegment(tokens[start:i]))
		}
		g.least += i - start
		start = i + 1
	}
	return g
}

func newSegment(tokens []token) segment {
	text := make([]byte, 0, len(tokens))
	sets := make([]*byteSet, 0, len(tokens))
	plain := true
	for _, t := range tokens {
		set := t.class
		switch t.kind {
		case anyByteToken:
			set, plain = everyByte, false
		case classToken:
			plain = false
		default:
			set = &byteSet{}
			set.add(t.lit)
		}
		text = append(text, t.lit)
		sets = append(sets, set)
	}
	if plain {
		return segment{text: string(text)}
	}
	return segment{sets: sets}
}

func (s segment) len() int {
	if s.sets != nil {
		return len(s.sets)
	}
	return len(s.text)
}

// at reports whether the segment matches the start of b.
func (s segment) at(b string) bool {
	if s.sets == nil {
		return strings.HasPrefix(b, s.text)
	}
	if len(b) < len(s.sets) {
		return false
	}
	for i, set := range s.sets {
		if !set.has(b[i]) {
			return false
		}
	}
	return true
}

// find returns the first place in b where the segment matches, or -1.
func (s segment) find(b string) int {
	if s.sets == nil {
		return strings.Index(b, s.text)
	}
	for i := 0; i+len(s.sets) <= len(b); i++ {
		if s.at(b[i:]) {
			return i
		}
	}
	return -1
}

// match takes the first place for every segment in turn. That is enough: what
// matches with a later place matches with the first as well.
func (g *glob) match(name string) bool {
	if len(name) < g.least {
		return false
	}
	first, last := g.segments[0], g.segments[len(g.segments)-1]
	if len(g.segments) == 1 {
		return len(name) == g.least && first.at(name)
	}
	end := len(name) - last.len()
	if !first.at(name) || !last.at(name[end:]) {
		return false
	}
	middle := name[first.len():end]
	for _, s := range g.segments[1 : len(g.segments)-1] {
		i := s.find(middle)
		if i < 0 {
			return false
		}
		middle = middle[i+s.len():]
	}
	return true
}

func (g *glob) writeKey(b *strings.Builder) {
	for i, s := range g.segments {
		if i > 0 {
			b.WriteString("*")
		}
		if s.sets == nil {
			b.WriteString("\"" + s.text + "\x00")
			continue
		}
		for _, set := range s.sets {
			b.WriteByte('[')
			for _, w := range set {
				for range 8 {
					b.WriteByte(byte(w))
					w >>= 8
				}
			}
		}
	}
}
