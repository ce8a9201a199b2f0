package policy_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/agentfense/agentfense/policy"
)

// Few names and few pieces of pattern, so that they meet.
var (
	drawName  = rapid.SampledFrom([]string{"a", "b", "ab", "ba", "aab", ".a", "a.b", "*", "[", "{", `\`, "\xff", "é", "A", "-", "]", "abab"})
	drawPath  = rapid.SliceOfN(drawName, 0, 5)
	drawPaths = rapid.SliceOfN(drawPath, 1, 20)
	pieces    = []string{
		"a", "b", "ab", ".", "*", "*", "**", "?", "[ab]", "[!a]", "[^ab-]", "[]a]", "[!]]", `[\]-a]`, "[a-]", "[*?]", "[\x80-\xff]",
		`\*`, `\[`, `\{`, `\\`, `\a`, `\/`, "\xff", "]", ",", "-", "é",
	}
	components = []string{"**", "**", "*", "a", "b", "ab", ".", "", "a*", "*b", "*a*b*", "?*", "*?"}
)

func drawGlob(t *rapid.T, depth int) string {
	var b strings.Builder
	for i := range rapid.IntRange(1, 4).Draw(t, "components") {
		if i > 0 || depth == 0 && rapid.Bool().Draw(t, "rooted") {
			b.WriteByte('/')
		}
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind == 0 && depth < 2:
			b.WriteString(rapid.SampledFrom([]string{"", "a", "*"}).Draw(t, "before"))
			b.WriteByte('{')
			for i := range rapid.IntRange(2, 3).Draw(t, "alternatives") {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString(drawGlob(t, depth+1))
			}
			b.WriteByte('}')
			b.WriteString(rapid.SampledFrom([]string{"", "b", "*"}).Draw(t, "after"))
		case kind <= 2:
			b.WriteString(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 3).Draw(t, "pieces"), ""))
		default:
			b.WriteString(rapid.SampledFrom(components).Draw(t, "component"))
		}
	}
	return b.String()
}

func drawRule(t *rapid.T) policy.Rule {
	r := policy.Rule{
		Type:     rapid.SampledFrom([]policy.PatternType{policy.Glob, policy.Glob, policy.Glob, policy.Directory, policy.File}).Draw(t, "type"),
		Level:    rapid.SampledFrom([]policy.Level{policy.None, policy.View, policy.Read, policy.Write}).Draw(t, "level"),
		Priority: rapid.Int32Range(-1, 1).Draw(t, "priority"),
	}
	if r.Type == policy.Glob {
		r.Pattern = drawGlob(t, 0)
	} else {
		r.Pattern = "/" + strings.Join(drawPath.Draw(t, "path"), "/")
	}
	return r
}

// drawPolicy returns rules and their policy, without those that are refused.
func drawPolicy(t *rapid.T) ([]policy.Rule, *policy.Policy) {
	// Rules that match nothing here push the others over word boundaries.
	pad := policy.Rule{Pattern: "/pad", Type: policy.File, Level: policy.Write, Priority: 2}
	rules := slices.Repeat([]policy.Rule{pad}, rapid.SampledFrom([]int{0, 0, 0, 28, 29, 30, 31, 61, 62, 90}).Draw(t, "pads"))
	for _, r := range rapid.SliceOfN(rapid.Custom(drawRule), 0, 7).Draw(t, "rules") {
		if _, err := policy.Compile([]policy.Rule{r}); err == nil {
			rules = append(rules, r)
		}
	}
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatalf("Compile(%q) = %v, though it takes each rule alone", rules, err)
	}
	return rules, p
}

func cursor(p *policy.Policy, path []string) policy.Cursor {
	c := p.Root()
	for _, name := range path {
		c = c.Child(name)
	}
	return c
}

func TestDecidesAsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, p := drawPolicy(t)
		for _, path := range drawPaths.Draw(t, "paths") {
			text := "/" + strings.Join(path, "/")
			want := refDecide(rules, path)
			if got := p.Decide(text); got != want {
				t.Fatalf("Decide(%q) = %v, want %v", text, got, want)
			}
			if got := cursor(p, path).Verdict(); got != want {
				t.Fatalf("Verdict of cursor at %q = %v, want %v", text, got, want)
			}
			if got, want := p.Explain(text).Matches, refOrder(rules, path); !slices.Equal(got, want) {
				t.Fatalf("Explain(%q).Matches = %v, want %v", text, got, want)
			}
			if got, want := cursor(p, path).Creates(), refDecide(rules, append(slices.Clone(path), fresh)); got != want {
				t.Fatalf("Creates of cursor at %q = %v, want %v", text, got, want)
			}
		}
	})
}

func TestWhatMayNotRevealHidesEverythingBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, p := drawPolicy(t)
		for _, below := range drawPaths.Draw(t, "paths") {
			got := refDecide(rules, below)
			for n := range below {
				if got.Level > policy.None && !cursor(p, below[:n]).MayReveal() {
					t.Fatalf("MayReveal at %q is false, and %q has %v", below[:n], below, got)
				}
			}
		}
	})
}

func TestEqualDigestsDecideAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, p := drawPolicy(t)
		q, err := policy.Compile(rapid.Permutation(rules).Draw(t, "permuted"))
		if err != nil {
			t.Fatal(err)
		}
		if p.Digest() != q.Digest() {
			return
		}
		for _, names := range drawPaths.Draw(t, "paths") {
			path := "/" + strings.Join(names, "/")
			if got, want := p.Decide(path).Level, q.Decide(path).Level; got != want {
				t.Fatalf("Decide(%q) = %v and %v", path, got, want)
			}
		}
	})
}
