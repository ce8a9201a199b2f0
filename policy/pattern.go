package policy

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxAlternatives = 1024
	maxExpanded     = 64 << 10
	maxPositions    = 64 << 10
)

type tokenKind uint8

const (
	literalToken tokenKind = iota
	slashToken
	starToken
	anyByteToken
	classToken
	braceToken
)

// token is one piece of a glob.
type token struct {
	kind   tokenKind
	lit    byte
	class  *byteSet
	braces [][]token // at least two
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *byteSet) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// parser reads a glob.
type parser struct {
	in string
	at int
}

// parseGlob compiles a pattern with wildcards.
func parseGlob(pattern string) (matcher, error) {
	p := parser{in: pattern}
	tokens, err := p.sequence(false)
	if err != nil {
		return matcher{}, err
	}
	x := expander{}
	if err := x.expand(nil, &rest{tokens: tokens}); err != nil {
		return matcher{}, err
	}
	m := matcher{specific: specificityOf(tokens)}
	for _, tokens := range x.out {
		if len(tokens) == 0 {
			return matcher{}, errors.New("an alternative is the empty pattern")
		}
		alt, err := components(tokens)
		if err != nil {
			return matcher{}, err
		}
		m.alternatives = append(m.alternatives, alt)
	}
	return m, nil
}

// parseLiteral compiles a pattern in which every byte means itself.
func parseLiteral(pattern string) (matcher, error) {
	tokens := make([]token, 0, len(pattern))
	for i := range len(pattern) {
		tokens = append(tokens, literal(pattern[i]))
	}
	alt, err := components(tokens)
	return matcher{[]alternative{alt}, specificityOf(tokens)}, err
}

func literal(b byte) token {
	if b == '/' {
		return token{kind: slashToken}
	}
	return token{kind: literalToken, lit: b}
}

// sequence reads up to the end, or inside braces up to ',' or '}', which it
// leaves for its caller.
func (p *parser) sequence(inBraces bool) ([]token, error) {
	var out []token
	for p.at < len(p.in) {
		b := p.in[p.at]
		if inBraces && (b == ',' || b == '}') {
			return out, nil
		}
		p.at++
		switch b {
		case '*':
			out = append(out, token{kind: starToken})
		case '?':
			out = append(out, token{kind: anyByteToken})
		case '\\':
			if p.at == len(p.in) {
				return nil, errors.New(`'\' at the end escapes nothing`)
			}
			out = append(out, literal(p.in[p.at]))
			p.at++
		case '[':
			set, err := p.class()
			if err != nil {
				return nil, err
			}
			out = append(out, token{kind: classToken, class: set})
		case '{':
			alternatives, err := p.braces()
			if err != nil {
				return nil, err
			}
			if len(alternatives) == 1 {
				out = append(out, alternatives[0]...)
			} else {
				out = append(out, token{kind: braceToken, braces: alternatives})
			}
		case '}':
			return nil, errors.New(`'}' without '{'; write \} for the character`)
		default:
			out = append(out, literal(b))
		}
	}
	if inBraces {
		return nil, errors.New("'{' without '}'")
	}
	return out, nil
}

// braces reads the alternatives after '{', up to and including '}'.
func (p *parser) braces() ([][]token, error) {
	var out [][]token
	for {
		alternative, err := p.sequence(true)
		if err != nil {
			return nil, err
		}
		out = append(out, alternative)
		p.at++
		if p.in[p.at-1] == '}' {
			break
		}
	}
	if len(out) == 1 && len(out[0]) == 0 {
		return nil, errors.New(`'{}' holds no alternative; write \{\} for the characters`)
	}
	return out, nil
}

var errOpenClass = errors.New("'[' without ']'")

// class reads the set after '[', up to and including ']'.
func (p *parser) class() (*byteSet, error) {
	if strings.HasPrefix(p.in[p.at:], "[:") {
		return nil, errors.New("named classes such as [:alpha:] are not supported")
	}
	negated := p.at < len(p.in) && (p.in[p.at] == '!' || p.in[p.at] == '^')
	if negated {
		p.at++
	}
	var set byteSet
	for first := true; ; first = false {
		if p.at == len(p.in) {
			return nil, errOpenClass
		}
		if p.in[p.at] == ']' && !first {
			p.at++
			break
		}
		low, err := p.classByte()
		if err != nil {
			return nil, err
		}
		high := low
		if rest := p.in[p.at:]; len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			if high, err = p.classByte(); err != nil {
				return nil, err
			}
		}
		if high < low {
			return nil, fmt.Errorf("range %q-%q is upside down", []byte{low}, []byte{high})
		}
		for b := int(low); b <= int(high); b++ {
			set.add(byte(b))
		}
	}
	if negated {
		for w := range set {
			set[w] = ^set[w]
		}
	}
	return &set, nil
}

// classByte reads one byte of a set.
func (p *parser) classByte() (byte, error) {
	b := p.in[p.at]
	p.at++
	if b == '\\' {
		if p.at == len(p.in) {
			return 0, errOpenClass
		}
		b = p.in[p.at]
		p.at++
	}
	if b == '/' {
		return 0, errors.New("'/' inside '[ ]' can never match")
	}
	return b, nil
}

// rest is what is still to be expanded, innermost first.
type rest struct {
	tokens []token
	next   *rest
}

// expander writes out the alternatives of braces.
type expander struct {
	out  [][]token
	size int
}

// expand appends every sequence that begins with done and goes on with r.
func (x *expander) expand(done []token, r *rest) error {
	for ; r != nil; r = r.next {
		for i, t := range r.tokens {
			if t.kind != braceToken {
				if done = append(done, t); len(done) > maxExpanded {
					return errTooManyAlternatives
				}
				continue
			}
			after := &rest{r.tokens[i+1:], r.next}
			for _, alternative := range t.braces {
				if err := x.expand(done, &rest{alternative, after}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if x.size += len(done); x.size > maxExpanded || len(x.out) == maxAlternatives {
		return errTooManyAlternatives
	}
	x.out = append(x.out, append([]token(nil), done...))
	return nil
}

var errTooManyAlternatives = errors.New("its braces stand for more than 1,024 alternatives or 65,536 bytes")

// specificityOf measures a pattern as it is written: braces are one wildcard,
// with as many literal bytes as the alternative that has the fewest.
func specificityOf(tokens []token) specificity {
	var s specificity
	wild := false
	for _, component := range split(tokens) {
		here := false
		if !wild {
			s.prefix++
		}
		s.literals++
		for _, t := range component {
			switch t.kind {
			case literalToken, slashToken:
				s.literals++
				if !wild {
					s.prefix++
				}
				continue
			case braceToken:
				s.literals += fewestLiterals(t)
			}
			wild, here = true, true
		}
		if here {
			s.wildcards++
		}
	}
	return s
}

func fewestLiterals(t token) int {
	fewest := -1
	for _, alternative := range t.braces {
		n := 0
		for _, t := range alternative {
			switch t.kind {
			case literalToken, slashToken:
				n++
			case braceToken:
				n += fewestLiterals(t)
			}
		}
		if fewest < 0 || n < fewest {
			fewest = n
		}
	}
	return fewest
}

// split cuts a sequence at its slashes and drops components that say nothing:
// empty ones and ".".
func split(tokens []token) [][]token {
	var out [][]token
	for start := 0; start <= len(tokens); {
		end := start
		for end < len(tokens) && tokens[end].kind != slashToken {
			end++
		}
		c := tokens[start:end]
		if len(c) > 1 || len(c) == 1 && (c[0].kind != literalToken || c[0].lit != '.') {
			out = append(out, c)
		}
		start = end + 1
	}
	return out
}
