package policy_test

import (
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/agentfense/agentfense/policy"
)

// fakeTree is a tree of paths; a directory's path ends in '/'.
type fakeTree struct {
	names    []string
	dirs     []bool
	children [][]uint32
}

func newFakeTree(paths ...string) *fakeTree {
	t := &fakeTree{names: []string{""}, dirs: []bool{true}, children: [][]uint32{nil}}
	for _, path := range paths {
		at := uint32(0)
		parts := strings.Split(strings.Trim(path, "/"), "/")
		for i, name := range parts {
			at = t.child(at, name, i < len(parts)-1 || strings.HasSuffix(path, "/"))
		}
	}
	return t
}

// child returns an entry and adds it first if it lacks. What has children is a
// directory.
func (t *fakeTree) child(dir uint32, name string, isDir bool) uint32 {
	for _, c := range t.children[dir] {
		if t.names[c] == name {
			t.dirs[c] = t.dirs[c] || isDir
			return c
		}
	}
	n := uint32(len(t.names))
	t.names, t.dirs, t.children = append(t.names, name), append(t.dirs, isDir), append(t.children, nil)
	t.children[dir] = append(t.children[dir], n)
	return n
}

func (t *fakeTree) Children(dir uint32, yield func(uint32, string, bool) bool) {
	if !t.dirs[dir] {
		panic("children of a file")
	}
	for _, c := range t.children[dir] {
		if !yield(c, t.names[c], t.dirs[c]) {
			return
		}
	}
}

// refEntry is a path on which a plan is decided.
type refEntry struct {
	path []string
	dir  bool
}

// refPlan makes a plan from the definitions, entry by entry.
func refPlan(rules []policy.Rule, t *fakeTree) policy.Plan {
	entries := map[string]refEntry{}
	var collect func(node uint32, path []string)
	collect = func(node uint32, path []string) {
		entries[strings.Join(path, "/")] = refEntry{path, t.dirs[node]}
		for _, c := range t.children[node] {
			collect(c, append(slices.Clone(path), t.names[c]))
		}
	}
	collect(0, nil)

	level := func(path []string) policy.Level { return refDecide(rules, path).Level }
	writable := func(path []string) bool {
		return level(append(slices.Clone(path), fresh)) == policy.Write
	}
	visible := map[string]refEntry{"": entries[""]}
	for _, e := range entries {
		if level(e.path) > policy.None {
			for n := range len(e.path) + 1 {
				key := strings.Join(e.path[:n], "/")
				visible[key] = entries[key]
			}
		}
	}
	var plan policy.Plan
	for _, path := range refWanted(rules) {
		blocked := false
		for n := range len(path) + 1 {
			e, ok := visible[strings.Join(path[:n], "/")]
			blocked = blocked || ok && !e.dir
		}
		for n := range len(path) + 1 {
			key := strings.Join(path[:n], "/")
			if _, ok := visible[key]; !ok && !blocked && writable(path) {
				visible[key] = refEntry{path[:n], true}
				plan.Created = append(plan.Created, "/"+key)
			}
		}
	}
	for key, e := range visible {
		in := key != "" && writable(e.path[:len(e.path)-1])
		switch own := level(e.path); {
		case e.dir && writable(e.path):
			if !in || own < policy.Write {
				plan.Writable = append(plan.Writable, "/"+key)
			}
		case in && (e.dir || own < policy.Write):
			plan.Protected = append(plan.Protected, "/"+key)
		case !in && !e.dir && own == policy.Write:
			plan.Files = append(plan.Files, "/"+key)
		}
	}
	for _, s := range [][]string{plan.Created, plan.Writable, plan.Protected, plan.Files} {
		sort.Strings(s)
	}
	return plan
}

// refWanted returns the directories that write rules name literally.
func refWanted(rules []policy.Rule) [][]string {
	var out [][]string
	for _, r := range rules {
		if r.Level != policy.Write || r.Type == policy.File {
			continue
		}
		if r.Type == policy.Directory {
			out = append(out, refSplit(r.Pattern, true))
			continue
		}
		for _, p := range refExpand(r.Pattern) {
			parts := refSplit(p, false)
			n := 0
			for n < len(parts) && refHead(parts[n]) == parts[n] {
				n++
			}
			if refPath(parts[n:], []string{fresh}, false) {
				var dir []string
				for _, c := range parts[:n] {
					dir = append(dir, refUnescape(c))
				}
				out = append(out, dir)
			}
		}
	}
	return out
}

func refUnescape(c string) string {
	var b strings.Builder
	for i := 0; i < len(c); i++ {
		if c[i] == '\\' {
			i++
		}
		b.WriteByte(c[i])
	}
	return b.String()
}

func drawTree(t *rapid.T) *fakeTree {
	var paths []string
	for _, path := range rapid.SliceOfN(rapid.SliceOfN(drawName, 1, 4), 0, 12).Draw(t, "tree") {
		paths = append(paths, strings.Join(path, "/")+rapid.SampledFrom([]string{"", "/"}).Draw(t, "end"))
	}
	return newFakeTree(paths...)
}

func TestPlansAsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, p := drawPolicy(t)
		tree := drawTree(t)
		got, err := p.Plan(tree)
		if err != nil {
			t.Fatal(err)
		}
		if want := refPlan(rules, tree); !reflect.DeepEqual(got, want) {
			t.Fatalf("Plan() =\n%+v, want\n%+v", got, want)
		}
	})
}

// TestHiddenEntriesLeaveNoTraceInPlans: whoever compares two sandboxes cannot
// learn from their mounts what the codebase hides.
func TestHiddenEntriesLeaveNoTraceInPlans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, p := drawPolicy(t)
		tree := drawTree(t)
		var shown []string
		var collect func(node uint32, path []string)
		collect = func(node uint32, path []string) {
			for _, c := range tree.children[node] {
				below := append(slices.Clone(path), tree.names[c])
				if refDecide(rules, below).Level > policy.None {
					end := ""
					if tree.dirs[c] {
						end = "/"
					}
					shown = append(shown, strings.Join(below, "/")+end)
				}
				collect(c, below)
			}
		}
		collect(0, nil)
		got, err := p.Plan(tree)
		if err != nil {
			t.Fatal(err)
		}
		want, err := p.Plan(newFakeTree(shown...))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Plan() =\n%+v, and without the hidden entries\n%+v, %v", got, want, err)
		}
	})
}

func TestRevealsWhatIsVisibleBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, p := drawPolicy(t)
		tree := drawTree(t)
		var check func(node uint32, path []string) bool
		check = func(node uint32, path []string) bool {
			want := false
			for _, c := range tree.children[node] {
				below := append(slices.Clone(path), tree.names[c])
				seen := check(c, below)
				want = want || seen || refDecide(rules, below).Level > policy.None
			}
			if tree.dirs[node] && p.Reveals(tree, node, cursor(p, path)) != want {
				t.Fatalf("Reveals at %q = %v, want %v", path, !want, want)
			}
			return want
		}
		check(0, nil)
	})
}
