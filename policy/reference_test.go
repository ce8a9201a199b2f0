package policy_test

import (
	"math"
	"sort"
	"strings"

	"github.com/agentfense/agentfense/policy"
)

// The reference decides by the words of the contract and nothing else: it
// writes patterns out as strings and tries everything, slowly. Patterns must be
// ones that Compile takes.

// fresh stands for a name that is matched only by components that match every
// name.
const fresh = "\x00"

// refExpand writes the braces of a pattern out.
func refExpand(p string) []string {
	open := -1
	depth := 0
	var cuts []int
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			i = refClassEnd(p, i)
		case '{':
			if depth++; depth == 1 {
				open = i
				cuts = []int{i}
			}
		case ',':
			if depth == 1 {
				cuts = append(cuts, i)
			}
		case '}':
			if depth--; depth == 0 {
				cuts = append(cuts, i)
				var out []string
				for k := 0; k+1 < len(cuts); k++ {
					out = append(out, refExpand(p[:open]+p[cuts[k]+1:cuts[k+1]]+p[i+1:])...)
				}
				return out
			}
		}
	}
	return []string{p}
}

// refClassEnd returns where the class that opens at i ends.
func refClassEnd(p string, i int) int {
	i++
	if p[i] == '!' || p[i] == '^' {
		i++
	}
	for first := true; first || p[i] != ']'; first = false {
		if p[i] == '\\' {
			i++
		}
		i++
	}
	return i
}

// refSplit cuts a pattern without braces into components. An escaped slash is a
// slash.
func refSplit(p string, literal bool) []string {
	var out []string
	here := ""
	done := func() {
		if here != "" && here != "." && (literal || here != `\.`) {
			out = append(out, here)
		}
		here = ""
	}
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '/':
			done()
		case !literal && strings.HasPrefix(p[i:], `\/`):
			i++
			done()
		case !literal && p[i] == '\\':
			here += p[i : i+2]
			i++
		case !literal && p[i] == '[':
			end := refClassEnd(p, i)
			here += p[i : end+1]
			i = end
		default:
			here += p[i : i+1]
		}
	}
	done()
	return out
}

// refName matches one component by backtracking.
func refName(p, name string) bool {
	if name == fresh {
		for b := 1; b < 256; b++ {
			if b != '/' && !refName(p, string([]byte{byte(b)})) {
				return false
			}
		}
		return refName(p, "\x01\x01") && refName(p, "\x01\x01\x01")
	}
	if p == "" {
		return name == ""
	}
	switch p[0] {
	case '*':
		return refName(p[1:], name) || name != "" && refName(p, name[1:])
	case '?':
		return name != "" && refName(p[1:], name[1:])
	case '\\':
		return name != "" && name[0] == p[1] && refName(p[2:], name[1:])
	case '[':
		end := refClassEnd(p, 0)
		return name != "" && refClass(p[1:end], name[0]) && refName(p[end+1:], name[1:])
	}
	return name != "" && name[0] == p[0] && refName(p[1:], name[1:])
}

func refClass(set string, b byte) bool {
	if set[0] == '!' || set[0] == '^' {
		return !refMember(set[1:], b)
	}
	return refMember(set, b)
}

func refMember(set string, b byte) bool {
	next := func() byte {
		if set[0] == '\\' {
			set = set[1:]
		}
		c := set[0]
		set = set[1:]
		return c
	}
	for set != "" {
		low := next()
		high := low
		if len(set) >= 2 && set[0] == '-' {
			set = set[1:]
			high = next()
		}
		if low <= b && b <= high {
			return true
		}
	}
	return false
}

// refPath matches components by backtracking.
func refPath(pattern, path []string, literal bool) bool {
	if len(pattern) == 0 {
		return len(path) == 0
	}
	if pattern[0] == "**" && !literal {
		return refPath(pattern[1:], path, literal) || len(path) > 0 && refPath(pattern, path[1:], literal)
	}
	if len(path) == 0 {
		return false
	}
	if literal {
		return pattern[0] == path[0] && refPath(pattern[1:], path[1:], literal)
	}
	return refName(pattern[0], path[0]) && refPath(pattern[1:], path[1:], literal)
}

// refMatches reports whether a rule matches a path, given as components.
func refMatches(r policy.Rule, path []string) bool {
	literal := r.Type != policy.Glob
	patterns := []string{r.Pattern}
	if !literal {
		patterns = refExpand(r.Pattern)
	}
	least := len(path)
	if r.Type == policy.Directory || r.Level <= policy.View {
		least = 0
	}
	for _, p := range patterns {
		for n := least; n <= len(path); n++ {
			if refPath(refSplit(p, literal), path[:n], literal) {
				return true
			}
		}
	}
	return false
}

// refSpecific returns literal prefix, wildcard components and literal bytes.
func refSpecific(r policy.Rule) [3]int {
	p := r.Pattern
	if r.Type != policy.Glob {
		n := len(strings.Join(append([]string{""}, refSplit(p, true)...), "/"))
		return [3]int{n, 0, n}
	}
	// Braces become one byte that no pattern has; their literals count extra.
	extra := 0
	var flat strings.Builder
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			flat.WriteString(p[i : i+2])
			i++
		case '[':
			end := refClassEnd(p, i)
			flat.WriteByte('?')
			i = end
		case '{':
			end := refBraceEnd(p, i)
			fewest := math.MaxInt
			for _, alt := range refExpand(p[i : end+1]) {
				fewest = min(fewest, refLiterals(alt))
			}
			extra += fewest
			flat.WriteByte('?')
			i = end
		default:
			flat.WriteByte(p[i])
		}
	}
	s := [3]int{0, 0, extra}
	for _, c := range refSplit(flat.String(), false) {
		wild := strings.IndexAny(strings.NewReplacer(`\*`, "x", `\?`, "x", `\\`, "x").Replace(c), "*?")
		literals := refLiterals(c)
		if s[1] == 0 {
			s[0] += 1 + literals
			if wild >= 0 {
				s[0] += refLiterals(refHead(c)) - literals
			}
		}
		if wild >= 0 {
			s[1]++
		}
		s[2] += 1 + literals
	}
	return s
}

// refHead returns a component up to its first wildcard.
func refHead(c string) string {
	for i := 0; i < len(c); i++ {
		switch c[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return c[:i]
		}
	}
	return c
}

func refLiterals(p string) int {
	n := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '*', '?':
		case '[':
			i = refClassEnd(p, i)
		case '\\':
			i++
			n++
		default:
			n++
		}
	}
	return n
}

func refBraceEnd(p string, i int) int {
	depth := 0
	for ; ; i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			i = refClassEnd(p, i)
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
}

// refOrder returns the rules that match a path, the winner first.
func refOrder(rules []policy.Rule, path []string) []int {
	var out []int
	for i, r := range rules {
		if refMatches(r, path) {
			out = append(out, i)
		}
	}
	types := map[policy.PatternType]int{policy.File: 0, policy.Directory: 1, policy.Glob: 2}
	sort.Slice(out, func(x, y int) bool {
		a, b := rules[out[x]], rules[out[y]]
		s, t := refSpecific(a), refSpecific(b)
		switch {
		case a.Priority != b.Priority:
			return a.Priority > b.Priority
		case a.Type != b.Type:
			return types[a.Type] < types[b.Type]
		case s[0] != t[0]:
			return s[0] > t[0]
		case s[1] != t[1]:
			return s[1] < t[1]
		case s[2] != t[2]:
			return s[2] > t[2]
		}
		return out[x] > out[y]
	})
	return out
}

func refDecide(rules []policy.Rule, path []string) policy.Verdict {
	if order := refOrder(rules, path); len(order) > 0 {
		return policy.Verdict{Level: rules[order[0]].Level, Rule: order[0]}
	}
	return policy.Verdict{Level: policy.None, Rule: policy.NoRule}
}
