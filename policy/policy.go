// Package policy decides what a sandbox may see and touch.
//
// A [Policy] is a list of [Rule]s. [Policy.Decide] returns the level of the
// rule that wins; with no match that is [None], so an empty policy hides
// everything. [Policy.Root] starts the same decision as a walk, one [Cursor] a
// directory or file, for whoever visits a tree. [Policy.Plan] says what of a
// snapshot may change.
//
// The package is pure: it does no I/O, and a compiled Policy is immutable and
// safe for concurrent use. Matching is linear in the path: no pattern makes it
// backtrack. Names are bytes: `?` is one byte, `[a-z]` is a range of bytes, and
// no byte but '/' and NUL is special.
//
// # Levels
//
//	None   lookup answers ENOENT; absent from readdir
//	View   name and attributes only; open answers EACCES
//	Read   View, plus read and execute
//	Write  Read, plus create, change, rename and delete
//
// # Patterns
//
//	**       any number of components, none included; only as a whole component
//	*        any bytes within one component
//	?        one byte
//	[a-z]    one byte of a set; [!a-z] or [^a-z] one that is not in it
//	{a,b/c}  alternatives; may nest and may contain '/'
//	\x       the byte x itself
//
// Types [Directory] and [File] take their pattern literally. What a rule of
// level None or View matches is covered with everything below it; Read and
// Write need `/**` or type Directory for that.
//
// # Limits
//
//	4,096    bytes in a pattern
//	1,000    rules in a policy
//	1,024    alternatives that the braces of one pattern stand for
//	65,536   bytes of them together
//	65,536   components in all patterns of a policy, alternatives counted each
//	10,000   entries in a plan
package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// NoRule is the rule of a verdict that no rule decided.
const NoRule = -1

// Verdict is a level and the rule that decided it.
type Verdict struct {
	Level Level
	// Rule is an index into the policy's rules, or NoRule.
	Rule int
}

// Policy is a compiled list of rules.
type Policy struct {
	rules  []Rule
	digest [32]byte
	nfa    automaton
}

// Compile checks the rules and ranks them. An error is a [*RuleError] and names
// the first rule that is at fault.
func Compile(rules []Rule) (*Policy, error) {
	if len(rules) > MaxRules {
		return nil, &RuleError{Index: MaxRules, Pattern: rules[MaxRules].Pattern, Reason: "a policy has at most 1,000 rules"}
	}
	matchers := make([]matcher, len(rules))
	positions := 0
	for i, r := range rules {
		m, err := compileRule(r)
		if err != nil {
			return nil, &RuleError{Index: i, Pattern: r.Pattern, Reason: err.Error()}
		}
		for _, alt := range m.alternatives {
			positions += len(alt) + 1
		}
		if positions > maxPositions {
			return nil, &RuleError{Index: i, Pattern: r.Pattern, Reason: "the patterns up to this one have more than 65,536 components together"}
		}
		matchers[i] = m
	}
	order := rank(rules, matchers)
	p := &Policy{rules: slices.Clone(rules), digest: digest(rules, matchers, order)}
	p.nfa = newAutomaton(rules, matchers, order)
	return p, nil
}

// Rules returns the rules as they were given to Compile.
func (p *Policy) Rules() []Rule { return slices.Clone(p.rules) }

// Digest is the key for sharing what is made from a policy: two policies with
// the same digest give every path the same level. Their rules may be numbered
// differently, and two policies that decide alike may differ in digest.
func (p *Policy) Digest() [32]byte { return p.digest }

// Decide returns the verdict on a path such as "/a/b"; "/" is the root. Slashes
// too many and components "." are skipped. A path with a component ".." or a
// NUL byte names nothing, and no rule matches it.
func (p *Policy) Decide(path string) Verdict {
	c, ok := p.walk(path)
	if !ok {
		return Verdict{None, NoRule}
	}
	return c.Verdict()
}

// walk returns the cursor of a path, and whether it is a path at all.
func (p *Policy) walk(path string) (Cursor, bool) {
	c, spare := p.Root(), newCursor(p)
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, "/")
		if name == "" || name == "." {
			continue
		}
		if !validName(name) {
			return Cursor{}, false
		}
		p.nfa.step(spare.positions(), c.positions(), name)
		c, spare = spare, c
	}
	return c, true
}

// digest hashes the alternatives in rank order, each with its level. A rule
// whose alternatives all stand higher up as well can never decide.
func digest(rules []Rule, matchers []matcher, order []int) [32]byte {
	h := sha256.New()
	h.Write([]byte("agentfense policy 1\n"))
	seen := map[string]bool{}
	for _, i := range order {
		for _, alt := range matchers[i].alternatives {
			key := alt.key()
			if seen[key] {
				continue
			}
			seen[key] = true
			h.Write([]byte{byte(rules[i].Level)})
			h.Write(binary.AppendUvarint(nil, uint64(len(key))))
			h.Write([]byte(key))
		}
	}
	return [32]byte(h.Sum(nil))
}
