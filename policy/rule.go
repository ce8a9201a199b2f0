package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxRules is the most rules that a policy can have.
	MaxRules = 1000
	// MaxPattern is the most bytes that a pattern can have.
	MaxPattern = 4096
)

// Level says what may be done with a path. Each includes the ones before it.
type Level uint8

// The levels.
const (
	None Level = iota
	View
	Read
	Write
)

var levelNames = []string{"none", "view", "read", "write"}

func (l Level) String() string { return nameOf(levelNames, int(l), "level") }

// ParseLevel is the inverse of Level.String.
func ParseLevel(s string) (Level, error) {
	i := slices.Index(levelNames, s)
	if i < 0 {
		return None, fmt.Errorf("unknown level %q: want none, view, read or write", s)
	}
	return Level(i), nil
}

// PatternType says how a pattern matches.
type PatternType uint8

// The types of pattern.
const (
	// Glob is a pattern with wildcards.
	Glob PatternType = iota
	// Directory is a literal path and everything below it.
	Directory
	// File is exactly one literal path.
	File
)

var typeNames = []string{"glob", "directory", "file"}

func (t PatternType) String() string { return nameOf(typeNames, int(t), "type") }

// ParsePatternType is the inverse of PatternType.String.
func ParsePatternType(s string) (PatternType, error) {
	i := slices.Index(typeNames, s)
	if i < 0 {
		return Glob, fmt.Errorf("unknown pattern type %q: want glob, directory or file", s)
	}
	return PatternType(i), nil
}

func nameOf(names []string, i int, kind string) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

// Rule gives the paths that a pattern matches a level.
type Rule struct {
	// Pattern is relative to the root of the codebase; a leading '/' is added
	// where it lacks.
	Pattern string
	Type    PatternType
	Level   Level
	// Priority decides between rules before everything else; higher wins.
	Priority int32
	// Preset names where the rule came from; empty for a user's own. It decides
	// nothing.
	Preset string
}

// String is for humans, such as `**/.env* none@100 (preset agent-safe)`.
func (r Rule) String() string {
	var b strings.Builder
	if r.Type != Glob {
		b.WriteString(r.Type.String() + " ")
	}
	fmt.Fprintf(&b, "%s %s@%d", quoteIfNeeded(r.Pattern), r.Level, r.Priority)
	if r.Preset != "" {
		fmt.Fprintf(&b, " (preset %s)", quoteIfNeeded(r.Preset))
	}
	return b.String()
}

// quoteIfNeeded keeps what could fool a terminal or a reader out of messages.
func quoteIfNeeded(s string) string {
	const most = 200
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "..."
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == utf8.RuneError || !unicode.IsPrint(r)
	}) {
		s = strconv.Quote(s)
	}
	return s + cut
}

// RuleError is why a rule was refused.
type RuleError struct {
	// Index is the rule's place in the list, or NoRule where there is no list.
	Index   int
	Pattern string
	Reason  string
}

func (e *RuleError) Error() string {
	if e.Index == NoRule {
		return fmt.Sprintf("rule %s: %s", quoteIfNeeded(e.Pattern), e.Reason)
	}
	return fmt.Sprintf("rule %d, %s: %s", e.Index, quoteIfNeeded(e.Pattern), e.Reason)
}

// ParseRule reads a glob rule written 'PATTERN=LEVEL[@PRIORITY]'. The last '='
// splits, so a pattern may contain more of them. An error is a [*RuleError].
func ParseRule(spec string) (Rule, error) {
	refuse := func(format string, args ...any) (Rule, error) {
		return Rule{}, &RuleError{Index: NoRule, Pattern: spec, Reason: fmt.Sprintf(format, args...)}
	}
	split := strings.LastIndexByte(spec, '=')
	if split < 0 {
		return refuse("no '=': want PATTERN=LEVEL[@PRIORITY]")
	}
	r := Rule{Pattern: spec[:split]}
	name, priority, ranked := strings.Cut(spec[split+1:], "@")
	level, err := ParseLevel(name)
	if err != nil {
		return refuse("%v", err)
	}
	r.Level = level
	if ranked {
		n, err := strconv.ParseInt(priority, 10, 32)
		if err != nil {
			return refuse("priority %q is not a number of 32 bits", priority)
		}
		r.Priority = int32(n)
	}
	if _, err := compileRule(r); err != nil {
		return refuse("%v", err)
	}
	return r, nil
}

// matcher is a rule made ready: the alternatives that match, and how specific
// the pattern is.
type matcher struct {
	alternatives []alternative
	specific     specificity
}

// compileRule checks one rule and parses its pattern.
func compileRule(r Rule) (matcher, error) {
	var m matcher
	switch {
	case r.Level > Write:
		return m, fmt.Errorf("unknown level %d", r.Level)
	case r.Type > File:
		return m, fmt.Errorf("unknown pattern type %d", r.Type)
	case r.Pattern == "":
		return m, errors.New("pattern is empty")
	case len(r.Pattern) > MaxPattern:
		return m, errors.New("pattern is longer than 4,096 bytes")
	case strings.IndexByte(r.Pattern, 0) >= 0:
		return m, errors.New("pattern contains a NUL byte")
	}
	var err error
	if r.Type == Glob {
		m, err = parseGlob(r.Pattern)
	} else {
		m, err = parseLiteral(r.Pattern)
	}
	if err != nil {
		return matcher{}, err
	}
	spreads := r.Type == Directory || r.Level <= View
	for i, alt := range m.alternatives {
		m.alternatives[i] = alt.normalize(spreads)
	}
	return m, nil
}

// specificity orders patterns of one type and priority.
type specificity struct {
	prefix    int // literal bytes before the first wildcard
	wildcards int // components with a wildcard in them
	literals  int // literal bytes in all
}

// rank returns the rules' indices, the one that wins over all others first.
func rank(rules []Rule, matchers []matcher) []int {
	order := make([]int, len(rules))
	for i := range order {
		order[i] = i
	}
	typeRank := [...]int{File: 0, Directory: 1, Glob: 2}
	slices.SortFunc(order, func(i, j int) int {
		a, b := rules[i], rules[j]
		s, t := matchers[i].specific, matchers[j].specific
		return cmp.Or(
			cmp.Compare(b.Priority, a.Priority),
			cmp.Compare(typeRank[a.Type], typeRank[b.Type]),
			cmp.Compare(t.prefix, s.prefix),
			cmp.Compare(s.wildcards, t.wildcards),
			cmp.Compare(t.literals, s.literals),
			cmp.Compare(j, i),
		)
	})
	return order
}
