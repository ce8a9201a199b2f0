package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

// FuzzDecide takes any pattern and any path: Compile refuses with a RuleError
// or agrees with the reference.
func FuzzDecide(f *testing.F) {
	for _, seed := range []string{
		"**/.env*", "/a/{b,c/d}/[!x-z]*", `/\*/**`, "/[]a]/?", "/{a,{b,}c}", "/a**b/./c/", "[[:x:]]", "{", `\`, "/..", "/***/**/*",
	} {
		for typ := range uint8(3) {
			f.Add(seed, typ, uint8(0), "/a/b/.env")
			f.Add(seed, typ, uint8(2), "/*/x")
		}
	}
	f.Fuzz(func(t *testing.T, pattern string, typ, level uint8, path string) {
		if len(pattern) > 200 || len(path) > 40 {
			return
		}
		r := policy.Rule{Pattern: pattern, Type: policy.PatternType(typ), Level: policy.Level(level)}
		p, err := policy.Compile([]policy.Rule{r})
		if err != nil {
			var refused *policy.RuleError
			if !errors.As(err, &refused) || refused.Index != 0 || refused.Reason == "" {
				t.Fatalf("Compile(%q) = %v, want a RuleError", r, err)
			}
			return
		}
		policy.Warnings([]policy.Rule{r})
		if strings.Count(pattern, "*") > 6 || strings.Count(pattern, "{") > 4 {
			p.Decide(path) // more than the reference can do
			return
		}
		var names []string
		for name := range strings.SplitSeq(path, "/") {
			if name != "" && name != "." {
				names = append(names, name)
			}
			if name == ".." || strings.Contains(name, "\x00") {
				if got := p.Decide(path); got.Level != policy.None {
					t.Fatalf("Decide(%q) = %v", path, got)
				}
				return
			}
		}
		if got, want := p.Decide(path), refDecide([]policy.Rule{r}, names); got != want {
			t.Fatalf("Decide(%q) with %v = %v, want %v", path, r, got, want)
		}
		if ref, got := refSpecific(r), p.Explain(path).String(); got == "" || ref[0] < 0 {
			t.Fatalf("Explain(%q) says nothing", path)
		}
	})
}
