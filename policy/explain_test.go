package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

func TestExplain(t *testing.T) {
	list := append(mustPreset(t, "agent-safe"),
		glob("**/*.md", write, 5), glob("/secrets/public", read, 200), glob("/drop/*", write, 5), file("/one", write, 5))
	p := mustCompile(t, list)
	for name, tt := range map[string]struct {
		path    string
		level   policy.Level
		matches []int
		inPlace bool
		reveals bool
		says    []string
	}{
		"the deciding rule and those it outranks": {
			"/output/.env", none,
			[]int{4, 1, 0},
			false, false,
			[]string{"/output/.env: none\n", "decided by rule 4: **/.env* none@100 (preset agent-safe)\n", "outranks   rule 1"},
		},
		"a write rule on single files": {
			"/docs/a.md", write,
			[]int{9, 0},
			true, true,
			[]string{"decided by rule 9: **/*.md write@5\n", "modifiable in place; new names need a directory rule"},
		},
		"a single file of type file":       {"/one", write, []int{12, 0}, true, true, []string{"file /one write@5"}},
		"a file in a writable directory":   {"/output/a", write, []int{1, 0}, false, true, nil},
		"a writable directory":             {"/output", write, []int{1, 0}, false, true, nil},
		"a file in a directory of /*":      {"/drop/a", write, []int{11, 0}, false, true, nil},
		"a directory above something open": {"/secrets", none, []int{5, 0}, false, true, []string{"bare"}},
		"the root":                         {"/", none, nil, false, true, []string{"no rule matches"}},
		"no path":                          {"/../x", none, nil, false, false, []string{"no rule matches"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := p.Explain(tt.path)
			if e.Verdict != p.Decide(tt.path) || e.Verdict.Level != tt.level {
				t.Errorf("Explain(%q).Verdict = %v, want level %v and what Decide says", tt.path, e.Verdict, tt.level)
			}
			if !slices.Equal(e.Matches, tt.matches) {
				t.Errorf("Explain(%q).Matches = %v, want %v", tt.path, e.Matches, tt.matches)
			}
			if e.InPlace != tt.inPlace || e.MayReveal != tt.reveals {
				t.Errorf("Explain(%q): InPlace %v, MayReveal %v, want %v, %v", tt.path, e.InPlace, e.MayReveal, tt.inPlace, tt.reveals)
			}
			for _, s := range tt.says {
				if got := e.String(); !strings.Contains(got, s) {
					t.Errorf("Explain(%q) says\n%swithout %q", tt.path, got, s)
				}
			}
			rule, ok := e.Deciding()
			if ok != (len(tt.matches) > 0) || ok && rule != list[tt.matches[0]] {
				t.Errorf("Explain(%q).Deciding() = %v, %v", tt.path, rule, ok)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, tt := range map[string]struct {
		rule policy.Rule
		want []string
	}{
		"no slash":                          {glob(".env", none, 0), []string{"matches only at the root; did you mean `**/.env`?"}},
		"no slash and a wildcard":           {glob("*.md", write, 0), []string{"did you mean `**/*.md`?"}},
		"no slash of type file":             {file("Makefile", read, 0), []string{"did you mean the glob `**/Makefile`?"}},
		"a slash in front":                  {glob("/.env", none, 0), nil},
		"a slash inside":                    {glob("src/a.go", read, 0), nil},
		"** alone":                          {glob("**", read, 0), nil},
		"wildcards of type directory":       {dir("/src/*", read, 0), []string{"literally"}},
		"wildcards of type file":            {file("/src/*.go", read, 0), []string{"literally"}},
		"a slash at the end of a read":      {glob("/src/", read, 0), []string{"`/src/**`"}},
		"a slash at the end of a none":      {glob("/src/", none, 0), nil},
		"a slash at the end of a directory": {dir("/src/", read, 0), nil},
		"the root":                          {glob("/", read, 0), nil},
		"** inside a component":             {glob("/src/**.go", read, 0), []string{"`**` inside a component"}},
		"a name too long":                   {glob("/"+strings.Repeat("a", 256), read, 0), []string{"matches nothing"}},
		"a glob too long":                   {glob("/*"+strings.Repeat("a", 256), read, 0), []string{"matches nothing"}},
		"the longest name":                  {glob("/"+strings.Repeat("a", 255)+"*", read, 0), nil},
		"what Compile refuses":              {glob("[", read, 0), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.Warnings(rules(glob("/fine/**", read, 0), tt.rule))
			if len(got) != len(tt.want) {
				t.Fatalf("Warnings(%v) = %v, want %d", tt.rule, got, len(tt.want))
			}
			for i, w := range got {
				if w.Index != 1 || w.Pattern != tt.rule.Pattern || !strings.Contains(w.String(), tt.want[i]) {
					t.Errorf("Warnings(%v) = %v, want %q", tt.rule, w, tt.want[i])
				}
			}
		})
	}
	for _, info := range policy.Presets() {
		if got := policy.Warnings(info.Rules); len(got) > 0 {
			t.Errorf("Warnings of preset %s = %v", info.Name, got)
		}
	}
}
