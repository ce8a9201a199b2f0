package policy_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

func at(p *policy.Policy, path string) policy.Cursor {
	c := p.Root()
	for name := range strings.SplitSeq(path, "/") {
		if name != "" {
			c = c.Child(name)
		}
	}
	return c
}

func TestMayReveal(t *testing.T) {
	for name, tt := range map[string]struct {
		rules []policy.Rule
		path  string
		want  bool
	}{
		"nothing without rules":                 {nil, "/", false},
		"nothing under none rules alone":        {rules(glob("**/a", none, 0)), "/", false},
		"what a rule below opens":               {rules(glob("/a/b/c", read, 0)), "/a", true},
		"nothing beside it":                     {rules(glob("/a/b/c", read, 0)), "/b", false},
		"nothing below it":                      {rules(glob("/a/b/c", read, 0)), "/a/b/c", false},
		"what a hidden directory's rule opens":  {rules(glob("/secrets/**", none, 100), glob("/secrets/public.key", read, 200)), "/secrets", true},
		"nothing beside what is open":           {rules(glob("/secrets/**", none, 100), glob("/secrets/a/public.key", read, 200)), "/secrets/b", false},
		"nothing that the hiding rule outranks": {rules(glob("/secrets/**", none, 100), glob("/secrets/public.key", read, 50)), "/secrets", false},
		"nothing under none that spreads":       {rules(glob("**/*", read, 0), glob("**/credentials*", none, 1)), "/credentials", false},
		"nothing under none by X/*":             {rules(glob("**/*", read, 0), glob("/a/*", none, 1)), "/a", false},
		"nothing under none on everything":      {rules(glob("**/*", none, 1), glob("**/*.md", read, 0)), "/", false},
		"what outranks none on everything":      {rules(glob("**/*", none, 0), glob("**/*.md", read, 1)), "/a", true},
		"what is below view":                    {rules(glob("/a", view, 0)), "/a", true},
		"nothing below read alone":              {rules(glob("/a", read, 0)), "/a", false},
		"what another none leaves open":         {rules(glob("**/*", read, 0), glob("/a/*/c", none, 1)), "/a/b", true},
		"nothing in agent-safe's secrets":       {mustPreset(t, "agent-safe"), "/a/secrets", false},
		"nothing in agent-safe's .git":          {mustPreset(t, "agent-safe"), "/.git/objects", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := at(mustCompile(t, tt.rules), tt.path).MayReveal(); got != tt.want {
				t.Errorf("MayReveal at %q = %v, want %v", tt.path, got, tt.want)
			}
		})
	}
}

func TestCreates(t *testing.T) {
	for name, tt := range map[string]struct {
		rules []policy.Rule
		path  string
		want  policy.Verdict
	}{
		"nothing without rules":        {nil, "/", policy.Verdict{Level: none, Rule: policy.NoRule}},
		"by /**":                       {rules(glob("/out/**", write, 0)), "/out", policy.Verdict{Level: write, Rule: 0}},
		"by /** further down":          {rules(glob("/out/**", write, 0)), "/out/a/b", policy.Verdict{Level: write, Rule: 0}},
		"by /*":                        {rules(glob("/out/*", write, 0)), "/out", policy.Verdict{Level: write, Rule: 0}},
		"not by /* further down":       {rules(glob("/out/*", write, 0)), "/out/a", policy.Verdict{Level: none, Rule: policy.NoRule}},
		"by directory":                 {rules(dir("/out", write, 0)), "/out", policy.Verdict{Level: write, Rule: 0}},
		"by **/* in the root":          {mustPreset(t, "full-access"), "/", policy.Verdict{Level: write, Rule: 0}},
		"by a name of at least a byte": {rules(glob("/out/?*", write, 0)), "/out", policy.Verdict{Level: write, Rule: 0}},
		"not by a name of two":         {rules(glob("/out/??*", write, 0)), "/out", policy.Verdict{Level: none, Rule: policy.NoRule}},
		"not by *.md":                  {rules(glob("/out/*.md", write, 0)), "/out", policy.Verdict{Level: none, Rule: policy.NoRule}},
		"not by [!a]*":                 {rules(glob("/out/[!a]*", write, 0)), "/out", policy.Verdict{Level: none, Rule: policy.NoRule}},
		"not by what is outranked":     {rules(glob("/out/**", write, 0), glob("/out/*", read, 1)), "/out", policy.Verdict{Level: read, Rule: 1}},
		"in spite of rules for others": {rules(glob("/out/**", write, 0), glob("/out/*.md", read, 1)), "/out", policy.Verdict{Level: write, Rule: 0}},
		"in a directory that is read":  {rules(file("/out", read, 0), glob("/out/*", write, 0)), "/out", policy.Verdict{Level: write, Rule: 1}},
		"by an alternative":            {rules(glob("/{out,tmp}/{*.md,*}", write, 0)), "/tmp", policy.Verdict{Level: write, Rule: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := at(mustCompile(t, tt.rules), tt.path).Creates(); got != tt.want {
				t.Errorf("Creates at %q = %v, want %v", tt.path, got, tt.want)
			}
		})
	}
}

func TestWhatIsNoNameHasNothing(t *testing.T) {
	p := mustCompile(t, rules(glob("**", write, 0)))
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00"} {
		c := p.Root().Child(name)
		if c.Verdict().Rule != policy.NoRule || c.MayReveal() || c.Creates().Level != none || c.Child("a").Verdict().Level != none {
			t.Errorf("Child(%q) has level %v", name, c.Verdict().Level)
		}
	}
}

// TestCursorIsAValue: going on from a cursor leaves it as it was, whoever else
// does so at the time. It means most under the race detector.
func TestCursorIsAValue(t *testing.T) {
	long := append(mustPreset(t, "agent-safe"), manyRules(100)...)
	for name, p := range map[string]*policy.Policy{
		"few rules":  mustCompile(t, mustPreset(t, "agent-safe")),
		"many rules": mustCompile(t, long),
	} {
		t.Run(name, func(t *testing.T) {
			c := p.Root().Child("a")
			var walkers sync.WaitGroup
			for range 4 {
				walkers.Go(func() {
					for range 200 {
						if c.Child("secrets").Child("x").Verdict().Level != none || c.Child("x").Verdict().Level != read {
							t.Error("a cursor changed")
						}
					}
				})
			}
			walkers.Wait()
			if got := c.Verdict().Level; got != read {
				t.Errorf("Verdict() = %v after its children were asked for, want read", got)
			}
		})
	}
}
