package policy

import (
	"fmt"
	"math/bits"
	"strings"
)

// Explanation says why a path has its verdict.
type Explanation struct {
	Path    string
	Verdict Verdict
	// Matches are the indices of all rules that match, in the order in which
	// they win; the first decided.
	Matches []int
	// InPlace means that the path can be changed if it exists, but not made:
	// its level is Write, but neither is its directory writable nor is it one
	// itself.
	InPlace bool
	// MayReveal means that something below the path can be visible.
	MayReveal bool

	rules []Rule
}

// Explain returns the verdict on a path as Decide does, and how it came about.
func (p *Policy) Explain(path string) Explanation {
	e := Explanation{Path: path, Verdict: Verdict{None, NoRule}, rules: p.rules}
	c, ok := p.walk(path)
	if !ok {
		return e
	}
	e.Verdict = c.Verdict()
	e.MayReveal = c.MayReveal()
	for w, x := range c.positions() {
		for x &= p.nfa.accept[w]; x != 0; x &= x - 1 {
			rule := int(p.nfa.rule[w*64+bits.TrailingZeros64(x)])
			if n := len(e.Matches); n == 0 || e.Matches[n-1] != rule {
				e.Matches = append(e.Matches, rule)
			}
		}
	}
	if e.Verdict.Level == Write && c.Creates().Level != Write {
		parent, _ := p.walk(parentOf(path))
		e.InPlace = parent.Creates().Level != Write
	}
	return e
}

// parentOf returns the path of the directory that a path lies in.
func parentOf(path string) string {
	for {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return "/"
		}
		last := path[i+1:]
		path = path[:i]
		if last != "" && last != "." {
			return path
		}
	}
}

// Deciding returns the rule that decided, and whether one did.
func (e Explanation) Deciding() (Rule, bool) {
	if e.Verdict.Rule == NoRule {
		return Rule{}, false
	}
	return e.rules[e.Verdict.Rule], true
}

// String is for humans, a line for the verdict and one for every rule.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", quoteIfNeeded(e.Path), e.Verdict.Level)
	if len(e.Matches) == 0 {
		b.WriteString("  no rule matches\n")
	}
	for i, rule := range e.Matches {
		what := "decided by"
		if i > 0 {
			what = "outranks  "
		}
		fmt.Fprintf(&b, "  %s rule %d: %s\n", what, rule, e.rules[rule])
	}
	if e.InPlace {
		b.WriteString("  modifiable in place; new names need a directory rule\n")
	}
	if e.Verdict.Level == None && e.MayReveal {
		b.WriteString("  as a directory, it is visible, bare, if something below it is\n")
	}
	return b.String()
}
