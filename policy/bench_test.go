package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/agentfense/agentfense/policy"
)

// manyRules returns rules of all kinds that a user might write.
func manyRules(n int) []policy.Rule {
	var list []policy.Rule
	for i := range n {
		switch i % 5 {
		case 0:
			list = append(list, glob(fmt.Sprintf("**/name%d/**", i), none, int32(i)))
		case 1:
			list = append(list, glob(fmt.Sprintf("**/*.ext%d", i), view, 0))
		case 2:
			list = append(list, dir(fmt.Sprintf("/src/dir%d", i), read, 0))
		case 3:
			list = append(list, glob(fmt.Sprintf("/lib/**/test%d_*", i), write, 0))
		case 4:
			list = append(list, file(fmt.Sprintf("/src/a/file%d", i), write, 0))
		}
	}
	return list
}

// manyPaths returns n paths as a codebase has them, about five deep.
func manyPaths(n int) []string {
	exts := []string{"go", "py", "md", "key", "txt", "ts", "pem", "json"}
	tops := []string{"src", "lib", "docs", "output", "secrets", ".git", "internal", "cmd"}
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("/%s/package%d/module%d/sub%d/file%d.%s", tops[i%8], i%13, i%101, i%7, i, exts[i/8%8])
	}
	return paths
}

func manyEntries(n int) *fakeTree {
	t := &fakeTree{names: []string{""}, dirs: []bool{true}, children: [][]uint32{nil}}
	for i := 1; i < n; i++ {
		isDir := i%10 == 1
		parent := uint32(0)
		if i > 1 {
			parent = uint32((i-2)/100*10 + 1)
		}
		name := fmt.Sprintf("entry%d.go", i)
		switch {
		case isDir:
			name = fmt.Sprintf("dir%d", i)
		case i%50 == 7:
			name = ".env" + name
		case i%20 == 3:
			name = "README.md"
		}
		t.names, t.dirs, t.children = append(t.names, name), append(t.dirs, isDir), append(t.children, nil)
		t.children[parent] = append(t.children[parent], uint32(i))
	}
	return t
}

func benchPolicies(b *testing.B) map[string]*policy.Policy {
	return map[string]*policy.Policy{
		"agent-safe":           mustCompile(b, mustPreset(b, "agent-safe")),
		"agent-safe+20 rules":  mustCompile(b, append(mustPreset(b, "agent-safe"), manyRules(20)...)),
		"agent-safe+990 rules": mustCompile(b, append(mustPreset(b, "agent-safe"), manyRules(990)...)),
	}
}

func BenchmarkDecide(b *testing.B) {
	paths := manyPaths(10_000)
	for name, p := range benchPolicies(b) {
		b.Run(name+"/10,000 paths", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, path := range paths {
					p.Decide(path)
				}
			}
		})
	}
}

func BenchmarkChild(b *testing.B) {
	for name, p := range benchPolicies(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			c := p.Root().Child("src").Child("package")
			for b.Loop() {
				if c.Child("handler_test.go").Verdict().Level == policy.Write {
					b.Fatal("write")
				}
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	tree := manyEntries(100_000)
	for name, list := range map[string][]policy.Rule{
		"agent-safe":   mustPreset(b, "agent-safe"),
		"development":  mustPreset(b, "development"),
		"single files": append(mustPreset(b, "agent-safe"), glob("**/README.md", write, 5)),
		"reveals":      rules(glob("**", none, 0), glob("**/nowhere", read, 1)),
	} {
		p := mustCompile(b, list)
		b.Run(name+"/100,000 entries", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Plan(tree); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	list := append(mustPreset(b, "agent-safe"), manyRules(990)...)
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, list)
	}
}

// TestMatchingIsLinear: patterns that make a backtracking matcher take longer
// than the universe is old.
func TestMatchingIsLinear(t *testing.T) {
	for name, tt := range map[string]struct{ pattern, path string }{
		"stars in a component":  {"/" + strings.Repeat("a*", 2000) + "b", "/" + strings.Repeat("a", 4000)},
		"sets between stars":    {"/" + strings.Repeat("*[ab]?", 600) + "c", "/" + strings.Repeat("a", 4000)},
		"** between components": {strings.Repeat("/**/a", 800) + "/b", strings.Repeat("/a", 2000)},
		"** beside *":           {strings.Repeat("/**/*", 800) + "/b", strings.Repeat("/a", 2000)},
		"braces":                {"/" + strings.Repeat("{a,aa}*", 10) + "b", "/" + strings.Repeat("a", 4000)},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, rules(glob(tt.pattern, read, 0)))
			start := time.Now()
			if got := p.Decide(tt.path); got.Rule != policy.NoRule {
				t.Errorf("Decide() = %v", got)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("Decide() took %v", took)
			}
		})
	}
}
