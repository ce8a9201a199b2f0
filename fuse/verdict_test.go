package fuse

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// drawRules and drawPaths use few names, so that rules often match.
func drawRules(t *rapid.T) *policy.Policy {
	component := rapid.SampledFrom([]string{"a", "b", "c", "*", "**", "*.k", "?"})
	level := rapid.SampledFrom([]string{"none", "view", "read", "write"})
	var rules []policy.Rule
	for range rapid.IntRange(0, 6).Draw(t, "rules") {
		pattern := strings.Join(rapid.SliceOfN(component, 1, 4).Draw(t, "pattern"), "/")
		spec := fmt.Sprintf("/%s=%s@%d", pattern, level.Draw(t, "level"), rapid.IntRange(0, 2).Draw(t, "priority"))
		r, err := policy.ParseRule(spec)
		if err != nil {
			t.Fatalf("ParseRule(%q): %v", spec, err)
		}
		rules = append(rules, r)
	}
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func drawPath(t *rapid.T) string {
	component := rapid.SampledFrom([]string{"a", "b", "c", "x.k", "dd", "\xff"})
	return "/" + strings.Join(rapid.SliceOfN(component, 1, 4).Draw(t, "path"), "/")
}

func drawEntry(t *rapid.T) tree.Entry {
	kind := rapid.SampledFrom([]tree.Kind{tree.File, tree.Dir, tree.Symlink}).Draw(t, "kind")
	return tree.Entry{
		Kind: kind, Mode: uint32(rapid.IntRange(0, 0o777).Draw(t, "mode")),
		Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), MTime: rapid.Int64().Draw(t, "mtime"),
		Target: "target",
	}
}

func open(t *rapid.T, b *tree.Builder) *tree.Tree {
	snapshot, err := tree.Open(b.Build())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// visible is the plain meaning of a policy: what has a level, and every
// directory above it.
func visible(snapshot *tree.Tree, p *policy.Policy) map[string]bool {
	shown := map[string]bool{"/": true}
	for n := range tree.Node(snapshot.Len()) {
		if p.Decide(snapshot.Path(n)).Level == policy.None {
			continue
		}
		for m := n; m != tree.Root; m = snapshot.Parent(m) {
			shown[snapshot.Path(m)] = true
		}
	}
	return shown
}

func TestStandingsAreThePlainMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := tree.NewBuilder()
		for range rapid.IntRange(0, 20).Draw(t, "entries") {
			_ = b.Add(drawPath(t), drawEntry(t)) // a file for a parent is refused
		}
		snapshot, p := open(t, b), drawRules(t)
		want := visible(snapshot, p)
		// The order of questions must not matter.
		nodes := rapid.Permutation(upTo(snapshot.Len())).Draw(t, "order")
		v := newVerdicts(snapshot, p)
		for _, n := range nodes {
			path := snapshot.Path(n)
			s := v.standing(n)
			if s.visible() != want[path] {
				t.Errorf("standing(%q) = %d, want visible %v", path, s, want[path])
			}
			if level := p.Decide(path).Level; (level >= policy.Read) != (s == readable) || (level == policy.View) != (s == named) {
				t.Errorf("standing(%q) = %d at level %v", path, s, level)
			}
			if snapshot.Kind(n) == tree.Dir {
				checkListing(t, v, n, want)
			}
		}
	})
}

func checkListing(t *rapid.T, v *verdicts, dir tree.Node, want map[string]bool) {
	l := v.list(dir)
	var got, all []tree.Node
	for i := range l.count {
		got = append(got, l.at(i))
	}
	first, end := v.tree.Range(dir)
	for c := first; c < end; c++ {
		if want[v.tree.Path(c)] {
			all = append(all, c)
		}
	}
	if !slices.Equal(got, all) {
		t.Errorf("list(%q) = %v, want %v", v.tree.Path(dir), got, all)
	}
}

func upTo(n int) []tree.Node {
	nodes := make([]tree.Node, n)
	for i := range nodes {
		nodes[i] = tree.Node(i)
	}
	return nodes
}

func TestVerdictsAreSafeForConcurrentUse(t *testing.T) {
	f := newFixture(t)
	for i := range 500 {
		f.file(fmt.Sprintf("/d%d/e%d/f%d.md", i%5, i%11, i), "", 0o644)
	}
	snapshot, p := f.tree(), compile(t, "**/*.md=read", "/d1/**=none@1", "/d2/**=view")
	want, v := visible(snapshot, p), newVerdicts(snapshot, p)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range snapshot.Len() {
				n := tree.Node((i*31 + w*97) % snapshot.Len())
				if got := v.standing(n).visible(); got != want[snapshot.Path(n)] {
					t.Errorf("standing(%q) = %v", snapshot.Path(n), got)
				}
				v.list(v.tree.Parent(n))
			}
		})
	}
	wg.Wait()
}

func TestIDsArePermutation(t *testing.T) {
	ids := newNodeIDs()
	seen := map[uint64]bool{}
	for n := range tree.Node(100_000) {
		id := ids.id(n)
		if id == 0 || seen[id] || ids.node(id) != n {
			t.Fatalf("id(%d) = %#x, again %v, back %d", n, id, seen[id], ids.node(id))
		}
		seen[id] = true
	}
	if ids.id(tree.Root) != rootID {
		t.Errorf("id(root) = %d", ids.id(tree.Root))
	}
}

func TestInodeNumbers(t *testing.T) {
	seen := map[uint64]string{}
	dir := rootHash.child("src")
	for i := range 100_000 {
		name := fmt.Sprintf("file%d.go", i)
		inode := dir.child(name).inode()
		if other, ok := seen[inode]; ok || inode == 0 || inode >= 1<<48 {
			t.Fatalf("inode(%q) = %#x, same as %q", name, inode, other)
		}
		seen[inode] = name
	}
	if rootHash.child("a").child("b") == rootHash.child("ab") || rootHash.child("a").child("b") == rootHash.child("b").child("a") {
		t.Error("different paths have the same hash")
	}
}
