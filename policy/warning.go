package policy

import (
	"fmt"
	"strings"
)

// Warning is a rule that compiles and probably means something else.
type Warning struct {
	Index   int
	Pattern string
	Reason  string
}

func (w Warning) String() string {
	return fmt.Sprintf("rule %d, %s: %s", w.Index, quoteIfNeeded(w.Pattern), w.Reason)
}

// Warnings returns what is doubtful about rules, in their order. Rules that
// Compile refuses are left to it.
func Warnings(rules []Rule) []Warning {
	var out []Warning
	for i, r := range rules {
		m, err := compileRule(r)
		if err != nil {
			continue
		}
		for _, reason := range doubts(r, m) {
			out = append(out, Warning{i, r.Pattern, reason})
		}
	}
	return out
}

func doubts(r Rule, m matcher) []string {
	var out []string
	pattern := strings.TrimRight(r.Pattern, "/")
	if !strings.Contains(r.Pattern, "/") && r.Pattern != "**" && r.Pattern != "." {
		glob := "`**/" + r.Pattern + "`"
		if r.Type != Glob {
			glob = "the glob " + glob
		}
		out = append(out, "matches only at the root; did you mean "+glob+"?")
	}
	if r.Type != Glob && strings.ContainsAny(r.Pattern, `*?[]{}\`) {
		out = append(out, "type "+r.Type.String()+" takes the pattern literally; wildcards need type glob")
	}
	if r.Type == Glob && r.Level >= Read && pattern != "" && pattern != r.Pattern {
		out = append(out, "a '/' at the end says nothing; what lies below needs `"+pattern+"/**`")
	}
	if r.Type == Glob && doubleStarInside(r.Pattern) {
		out = append(out, "`**` inside a component is `*`; it crosses '/' only as a whole component")
	}
	for _, alt := range m.alternatives {
		if alt.tooLong() {
			out = append(out, "names have at most 255 bytes, so it matches nothing")
			break
		}
	}
	return out
}

// doubleStarInside reports whether a component has `**` beside other bytes.
func doubleStarInside(pattern string) bool {
	for _, c := range strings.FieldsFunc(pattern, func(r rune) bool { return strings.ContainsRune("/{},", r) }) {
		if strings.Contains(c, "**") && c != "**" && !strings.ContainsAny(c, `\[`) {
			return true
		}
	}
	return false
}

func (a alternative) tooLong() bool {
	for _, c := range a {
		if c.kind == exactly && len(c.name) > maxName || c.kind == someName && c.glob.least > maxName {
			return true
		}
	}
	return false
}
