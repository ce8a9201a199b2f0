package ingest

import "strings"

// glob is a compiled pattern of git's wildmatch: * and ? stay inside one
// component, ** between slashes crosses them. Matching takes time linear in
// pattern times text, whatever the pattern.
type glob []token

type token struct {
	kind tokenKind
	char byte
	set  *byteSet
}

// byteSet has one bit for each byte.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b/64] |= 1 << (b % 64) }
func (s *byteSet) remove(b byte)   { s[b/64] &^= 1 << (b % 64) }
func (s *byteSet) has(b byte) bool { return s[b/64]&(1<<(b%64)) != 0 }

type tokenKind uint8

const (
	tokenChar    tokenKind = iota // char
	tokenAny                      // one byte that is no slash
	tokenSet                      // one byte of set
	tokenThrough                  // any bytes and then a slash
	tokenStar                     // bytes that are no slash, or none
	tokenAll                      // any bytes, or none
	tokenDirs                     // nothing, or the tokenThrough behind it
)

// compileGlob reports false for a pattern that matches nothing, such as one
// with an open bracket.
func compileGlob(p string) (glob, bool) {
	var g glob
	for i := 0; i < len(p); {
		switch p[i] {
		case '\\':
			if i+1 == len(p) {
				return nil, false
			}
			g = append(g, token{kind: tokenChar, char: p[i+1]})
			i += 2
		case '?':
			g = append(g, token{kind: tokenAny})
			i++
		case '[':
			set, next, ok := compileSet(p, i+1)
			if !ok {
				return nil, false
			}
			g = append(g, token{kind: tokenSet, set: set})
			i = next
		case '*':
			var kind tokenKind
			if kind, i = compileStars(p, i); kind == tokenDirs {
				g = append(g, token{kind: tokenDirs}, token{kind: tokenThrough})
			} else {
				g = append(g, token{kind: kind})
			}
		default:
			g = append(g, token{kind: tokenChar, char: p[i]})
			i++
		}
	}
	return g, true
}

// compileStars reads a run of stars. Two or more between slashes are special,
// anything else is one star.
func compileStars(p string, i int) (tokenKind, int) {
	end := i
	for end < len(p) && p[end] == '*' {
		end++
	}
	rest := p[end:]
	if end-i < 2 || i > 0 && p[i-1] != '/' {
		return tokenStar, end
	}
	switch {
	case rest == "" || strings.HasPrefix(rest, `\/`):
		return tokenAll, end
	case rest[0] == '/':
		return tokenDirs, end + 1
	}
	return tokenStar, end
}

// compileSet reads a bracket expression from behind its bracket, and returns
// where the pattern goes on.
func compileSet(p string, i int) (set *byteSet, next int, ok bool) {
	r := setReader{p: p, i: i, previous: -1, set: new(byteSet)}
	negated := r.more() && (p[i] == '!' || p[i] == '^')
	if negated {
		r.i++
	}
	for first := true; first || r.more() && p[r.i] != ']'; first = false {
		if !r.more() || !r.item() {
			return nil, 0, false
		}
	}
	if !r.more() {
		return nil, 0, false
	}
	if negated {
		for b := range r.set {
			r.set[b] = ^r.set[b]
		}
	}
	r.set.remove('/')
	return r.set, r.i + 1, true
}

type setReader struct {
	p        string
	i        int
	previous int // start of a possible range, or -1
	set      *byteSet
}

func (r *setReader) more() bool { return r.i < len(r.p) }

// item reads a byte, the rest of a range or a class.
func (r *setReader) item() bool {
	c := r.p[r.i]
	switch {
	case c == '-' && r.previous >= 0 && r.i+1 < len(r.p) && r.p[r.i+1] != ']':
		r.i++
		end, ok := r.char()
		for b := r.previous; ok && b <= int(end); b++ {
			r.set.add(byte(b))
		}
		r.previous = -1
		return ok
	case c == '[' && strings.HasPrefix(r.p[r.i+1:], ":"):
		return r.class()
	}
	c, ok := r.char()
	r.set.add(c)
	r.previous = int(c)
	return ok
}

// char reads one byte, which a backslash may protect.
func (r *setReader) char() (byte, bool) {
	if r.p[r.i] == '\\' {
		r.i++
	}
	if !r.more() {
		return 0, false
	}
	r.i++
	return r.p[r.i-1], true
}

// class reads [:name:]. Without the second colon the bracket is a plain byte.
func (r *setReader) class() bool {
	name, _, closed := strings.Cut(r.p[r.i+2:], "]")
	if !closed {
		return false
	}
	class, colon := strings.CutSuffix(name, ":")
	if !colon {
		r.set.add('[')
		r.i, r.previous = r.i+1, '['
		return true
	}
	in := classes[class]
	if in == nil {
		return false
	}
	for b := range byte(128) {
		if in(b) {
			r.set.add(b)
		}
	}
	r.i, r.previous = r.i+2+len(name)+1, -1
	return true
}

var classes = map[string]func(byte) bool{
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha":  isAlpha,
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  isLower,
	"print":  func(b byte) bool { return isGraph(b) || b == ' ' },
	"punct":  func(b byte) bool { return isGraph(b) && !isAlpha(b) && !isDigit(b) },
	"space":  func(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' },
	"upper":  isUpper,
	"xdigit": func(b byte) bool { return isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'f' },
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
func isLower(b byte) bool { return b >= 'a' && b <= 'z' }
func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }
func isAlpha(b byte) bool { return isLower(b) || isUpper(b) }
func isGraph(b byte) bool { return b > ' ' && b < 0x7f }

// match runs all ways through the pattern at once.
func (g glob) match(text string) bool {
	// live[i]: what came before can be matched by g[:i].
	var small [2][64]bool
	live, next := small[0][:], small[1][:]
	if len(g)+1 > len(live) {
		live, next = make([]bool, len(g)+1), make([]bool, len(g)+1)
	}
	live, next = live[:len(g)+1], next[:len(g)+1]
	live[0] = true
	g.skip(live)
	for i := range len(text) {
		clear(next)
		if !g.step(live, next, text[i]) {
			return false
		}
		live, next = next, live
		g.skip(live)
	}
	return live[len(g)]
}

// skip adds what matches without a byte.
func (g glob) skip(live []bool) {
	for i, t := range g {
		if live[i] && t.kind >= tokenStar {
			live[i+1] = true
			if t.kind == tokenDirs {
				live[i+2] = true
			}
		}
	}
}

// step reports whether anything is left alive after one byte.
func (g glob) step(live, next []bool, c byte) (alive bool) {
	for i, t := range g {
		if !live[i] {
			continue
		}
		to := -1
		switch t.kind {
		case tokenChar:
			if c == t.char {
				to = i + 1
			}
		case tokenAny:
			if c != '/' {
				to = i + 1
			}
		case tokenSet:
			if t.set.has(c) {
				to = i + 1
			}
		case tokenStar:
			if c != '/' {
				to = i
			}
		case tokenAll:
			to = i
		case tokenThrough:
			to = i
			if c == '/' {
				next[i+1] = true
			}
		case tokenDirs: // takes no byte itself
		}
		if to >= 0 {
			next[to], alive = true, true
		}
	}
	return alive
}
