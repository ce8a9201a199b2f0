package fuse

import (
	"fmt"
	"strings"
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"pgregory.net/rapid"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// dump writes down all that a view tells, but for node ids, which are random.
func dump(t testing.TB, v *View, ask []string) string {
	t.Helper()
	var b strings.Builder
	var walk func(id uint64, path string, depth int)
	walk = func(id uint64, path string, depth int) {
		var attr gofuse.AttrOut
		status := v.GetAttr(nil, &gofuse.GetAttrIn{InHeader: gofuse.InHeader{NodeId: id}}, &attr)
		fmt.Fprintf(&b, "%q %v %+v\n", path, status, attr)
		for _, name := range ask {
			out := lookup(t, v, split(path+"/"+name)...)
			out.NodeId = min(out.NodeId, 1)
			fmt.Fprintf(&b, "%q/%q %+v\n", path, name, out)
		}
		for _, size := range []int{400, 4096} {
			for _, e := range readDir(t, v, id, size, false) {
				fmt.Fprintf(&b, "%d %+v\n", size, e.DirEntry)
			}
		}
		for _, e := range readDir(t, v, id, 500, true) {
			child := e.out.NodeId
			e.out.NodeId = min(child, 1)
			fmt.Fprintf(&b, "%+v\n", e)
			if child != 0 && e.Mode == 0o040000 {
				walk(child, path+"/"+e.Name, depth+1)
			}
		}
	}
	walk(rootID, "", 0)
	var statfs gofuse.StatfsOut
	v.StatFs(nil, &gofuse.InHeader{NodeId: rootID}, &statfs)
	fmt.Fprintf(&b, "%+v", statfs)
	return b.String()
}

func split(path string) []string { return strings.Split(path, "/")[1:] }

// TestHiddenEntriesLeaveNoTrace compares the answers over a random snapshot
// with those over the same snapshot without what is hidden in it, and with
// other things hidden in it.
func TestHiddenEntriesLeaveNoTrace(t *testing.T) {
	objects := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		p := drawRules(r)
		full := tree.NewBuilder()
		for range rapid.IntRange(0, 20).Draw(r, "entries") {
			_ = full.Add(drawPath(r), drawEntry(r))
		}
		snapshot := open(r, full)
		shown := visible(snapshot, p)
		without, other := tree.NewBuilder(), tree.NewBuilder()
		for n := tree.Node(1); int(n) < snapshot.Len(); n++ {
			path := snapshot.Path(n)
			if !shown[path] {
				continue
			}
			e := snapshot.Entry(n)
			for _, b := range []*tree.Builder{without, other} {
				if err := b.Add(path, e); err != nil {
					r.Fatal(err)
				}
			}
		}
		addHidden(r, other, p)
		ask := []string{"a", "b", "c", "x.k", "dd", "missing"}
		want := dump(t, viewOf(t, snapshot, objects, p), ask)
		for name, b := range map[string]*tree.Builder{"none": without, "others": other} {
			if got := dump(t, viewOf(t, open(r, b), objects, p), ask); got != want {
				r.Errorf("with %s hidden the view tells\n%s\nand not\n%s", name, got, want)
			}
		}
	})
}

// addHidden adds random entries, and keeps those that are all hidden.
func addHidden(r *rapid.T, b *tree.Builder, p *policy.Policy) {
	for range rapid.IntRange(0, 20).Draw(r, "hidden") {
		path, all := drawPath(r), true
		if _, exists := b.Lookup(path); exists {
			continue
		}
		for at := path; at != ""; at = at[:strings.LastIndexByte(at, '/')] {
			if _, exists := b.Lookup(at); !exists {
				all = all && p.Decide(at).Level == policy.None
			}
		}
		if all {
			_ = b.Add(path, drawEntry(r))
		}
	}
}
