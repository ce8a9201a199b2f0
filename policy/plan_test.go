package policy_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

func TestPlan(t *testing.T) {
	both := func(preset string, more ...policy.Rule) []policy.Rule {
		return append(mustPreset(t, preset), more...)
	}
	for name, tt := range map[string]struct {
		rules []policy.Rule
		tree  []string
		want  policy.Plan
	}{
		"nothing changes without write rules": {
			both("read-only"), []string{"a/b"}, policy.Plan{},
		},
		"a writable root covers all": {
			both("full-access"), []string{"a/b", "c"}, policy.Plan{Writable: []string{"/"}},
		},
		"hidden entries appear nowhere": {
			both("development"), []string{"a/.env", ".env", "secrets/x"}, policy.Plan{Writable: []string{"/"}},
		},
		"agent-safe writes where it may": {
			both("agent-safe"),
			[]string{"a/b", "output/x", "tmp/y/z", "secrets/x"},
			policy.Plan{Writable: []string{"/output", "/tmp"}},
		},
		"agent-safe makes what is not there": {
			both("agent-safe"),
			[]string{"a", "tmp/"},
			policy.Plan{Writable: []string{"/output", "/tmp"}, Created: []string{"/output"}},
		},
		"/output/* makes the directory": {
			both("read-only", glob("/output/*", write, 1)), nil,
			policy.Plan{Writable: []string{"/output"}, Created: []string{"/output"}},
		},
		"/output/* alone makes it, though its own level is none": {
			rules(glob("/output/*", write, 0)), nil,
			policy.Plan{Writable: []string{"/output"}, Created: []string{"/output"}},
		},
		"/output/* alone makes it where it exists and is empty, as the view hides it": {
			rules(glob("/output/*", write, 0)),
			[]string{"output/"},
			policy.Plan{Writable: []string{"/output"}, Created: []string{"/output"}},
		},
		"/output/* alone finds it where something in it is visible": {
			rules(glob("/output/*", write, 0)),
			[]string{"output/a"},
			policy.Plan{Writable: []string{"/output"}},
		},
		"type directory makes the directory": {
			rules(dir("/output", write, 0)), nil,
			policy.Plan{Writable: []string{"/output"}, Created: []string{"/output"}},
		},
		"type file makes nothing": {
			rules(file("/output", write, 0)), nil, policy.Plan{},
		},
		"a write rule without /** makes nothing": {
			rules(glob("/output", write, 0)), nil, policy.Plan{},
		},
		"a wildcard makes nothing": {
			rules(glob("/*/out/**", write, 0)), []string{"a/b"}, policy.Plan{},
		},
		"alternatives make one directory each": {
			rules(glob("/{a,b/c}/**", write, 0)), nil,
			policy.Plan{Writable: []string{"/a", "/b/c"}, Created: []string{"/a", "/b", "/b/c"}},
		},
		"an escaped wildcard is made": {
			rules(glob(`/\*/**`, write, 0)), nil,
			policy.Plan{Writable: []string{"/*"}, Created: []string{"/*"}},
		},
		"parents are made": {
			rules(glob("/a/b/c/**", write, 0)),
			[]string{"a/x"},
			policy.Plan{Writable: []string{"/a/b/c"}, Created: []string{"/a", "/a/b", "/a/b/c"}},
		},
		"parents that are visible are not": {
			both("read-only", glob("/a/b/c/**", write, 0)),
			[]string{"a/x"},
			policy.Plan{Writable: []string{"/a/b/c"}, Created: []string{"/a/b", "/a/b/c"}},
		},
		"nothing is made where the rule loses": {
			rules(glob("/output/**", write, 0), glob("/output/**", read, 1)), nil, policy.Plan{},
		},
		"nothing is made over a visible file": {
			rules(glob("/a/out/**", write, 0), glob("**/*", read, 0)), []string{"a"}, policy.Plan{},
		},
		"a file in the directory's place is writable": {
			rules(glob("/output/**", write, 0)), []string{"output"}, policy.Plan{Files: []string{"/output"}},
		},
		"a hidden file in its place does not exist": {
			rules(glob("/a/b/**", write, 0)),
			[]string{"a"},
			policy.Plan{Writable: []string{"/a/b"}, Created: []string{"/a", "/a/b"}},
		},
		"what is made in a writable directory is covered by it": {
			rules(glob("**/*", write, 0), glob("/a/b/**", write, 0)), nil,
			policy.Plan{Writable: []string{"/"}, Created: []string{"/a", "/a/b"}},
		},
		"what is made is protected where it is not writable": {
			rules(glob("**/*", write, 0), file("/a", read, 0), glob("/a/*", read, 1), glob("/a/b/**", write, 2)), nil,
			policy.Plan{Writable: []string{"/", "/a/b"}, Created: []string{"/a", "/a/b"}, Protected: []string{"/a"}},
		},
		"entries below write are protected": {
			rules(glob("/out/**", write, 0), glob("**/*.lock", read, 1), glob("/out/v", view, 1)),
			[]string{"out/a.lock", "out/b", "out/v", "x.lock"},
			policy.Plan{Writable: []string{"/out"}, Protected: []string{"/out/a.lock", "/out/v"}},
		},
		"entries below write further down are protected as well": {
			rules(glob("/out/**", write, 0), glob("**/*.lock", read, 1)),
			[]string{"out/a/b/c.lock"},
			policy.Plan{Writable: []string{"/out"}, Protected: []string{"/out/a/b/c.lock"}},
		},
		"directories below write are protected once": {
			rules(glob("/out/**", write, 0), glob("/out/keep/**", read, 1)),
			[]string{"out/keep/a/b", "out/keep/c"},
			policy.Plan{Writable: []string{"/out"}, Protected: []string{"/out/keep"}},
		},
		"what is writable in a protected directory is listed again": {
			rules(glob("/out/**", write, 0), glob("/out/keep/**", read, 1), glob("/out/keep/w/**", write, 2), glob("/out/keep/*.md", write, 2)),
			[]string{"out/keep/a/b", "out/keep/w/x", "out/keep/r.md"},
			policy.Plan{Writable: []string{"/out", "/out/keep/w"}, Protected: []string{"/out/keep"}, Files: []string{"/out/keep/r.md"}},
		},
		"a writable directory that is read itself stays put": {
			rules(glob("/out/**", write, 0), glob("/out/keep", read, 1)),
			[]string{"out/keep/a"},
			policy.Plan{Writable: []string{"/out", "/out/keep"}},
		},
		"a directory of level write in which nothing can be made is protected": {
			rules(glob("/out/**", write, 0), glob("/out/a/*", none, 1)),
			[]string{"out/a/b", "out/c"},
			policy.Plan{Writable: []string{"/out"}, Protected: []string{"/out/a"}},
		},
		"so it is in a writable root": {
			both("full-access", glob("/a/b/*", none, 1)),
			[]string{"a/b/"},
			policy.Plan{Writable: []string{"/"}, Protected: []string{"/a/b"}},
		},
		"a bare directory in a writable one is protected": {
			rules(glob("/out/**", write, 0), glob("/out/h/**", none, 1), glob("/out/h/pub", read, 2)),
			[]string{"out/h/pub", "out/h/x"},
			policy.Plan{Writable: []string{"/out"}, Protected: []string{"/out/h"}},
		},
		"a bare directory in a readable one is not listed": {
			rules(glob("**/*", read, 0), glob("/h/**", none, 1), glob("/h/pub", read, 2)), []string{"h/pub", "h/x"}, policy.Plan{},
		},
		"a hidden directory in a writable one is not listed": {
			rules(glob("/out/**", write, 0), glob("/out/h/**", none, 1), glob("/out/h/pub", read, 2)),
			[]string{"out/h/x"},
			policy.Plan{Writable: []string{"/out"}},
		},
		"single files are listed": {
			both("read-only", glob("**/*.md", write, 0)),
			[]string{"a.md", "d/b.md", "d/c"},
			policy.Plan{Files: []string{"/a.md", "/d/b.md"}},
		},
		"a single file in a bare directory is listed": {
			rules(glob("/d/e/a", write, 0)), []string{"d/e/a", "d/b"}, policy.Plan{Files: []string{"/d/e/a"}},
		},
		"single files in writable directories are not": {
			both("agent-safe", glob("**/*.md", write, 5)),
			[]string{"output/a.md", "tmp/x", "b.md"},
			policy.Plan{Writable: []string{"/output", "/tmp"}, Files: []string{"/b.md"}},
		},
		"a directory that a file rule names is no file": {
			rules(glob("/d", write, 0)), []string{"d/a"}, policy.Plan{},
		},
		"names too long to exist are not made": {
			rules(glob("/"+strings.Repeat("a", 256)+"/**", write, 0)), nil, policy.Plan{},
		},
		"the longest names are": {
			rules(glob("/"+strings.Repeat("a", 255)+"/**", write, 0)), nil,
			policy.Plan{Writable: []string{"/" + strings.Repeat("a", 255)}, Created: []string{"/" + strings.Repeat("a", 255)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mustCompile(t, tt.rules).Plan(newFakeTree(tt.tree...))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Plan() = %+v, %v, want %+v", got, err, tt.want)
			}
			if want := len(tt.want.Writable)+len(tt.want.Files) == 0; got.ReadOnly() != want {
				t.Errorf("ReadOnly() = %v, want %v", got.ReadOnly(), want)
			}
		})
	}
}

func TestPlanHasALimit(t *testing.T) {
	for name, tt := range map[string]struct {
		rules []policy.Rule
		files int
		ok    bool
	}{
		"10,000 single files":                  {rules(glob("/*", read, 0), glob("*.md", write, 1)), 10_000, true},
		"one more":                             {rules(glob("/*", read, 0), glob("*.md", write, 1)), 10_001, false},
		"9,999 exceptions in one directory":    {rules(glob("**", write, 0), glob("*.md", read, 1)), 9_999, true},
		"one exception more":                   {rules(glob("**", write, 0), glob("*.md", read, 1)), 10_000, false},
		"any number of files in one directory": {rules(glob("**", write, 0)), 20_000, true},
	} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			for i := range tt.files {
				paths = append(paths, fmt.Sprintf("%d.md", i))
			}
			tree := flatTree(paths)
			plan, err := mustCompile(t, tt.rules).Plan(tree)
			if tt.ok != (err == nil) {
				t.Fatalf("Plan() = %v, want an error: %v", err, !tt.ok)
			}
			if err != nil && (!errors.Is(err, policy.ErrPlanTooLarge) || !strings.Contains(err.Error(), "10000") || !plan.ReadOnly()) {
				t.Errorf("Plan() = %v, want ErrPlanTooLarge, its limit and no plan", err)
			}
		})
	}
}

// flatTree is a root with files.
type flatTree []string

func (t flatTree) Children(dir uint32, yield func(uint32, string, bool) bool) {
	for i, name := range t {
		if !yield(uint32(i+1), name, false) {
			return
		}
	}
}
