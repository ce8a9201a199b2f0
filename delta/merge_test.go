package delta

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// model is a tree as a map of paths to what is there: "dir", "link TARGET" or
// the content of a file.
type model map[string]string

func entryOf(what string) tree.Entry {
	switch {
	case what == "dir":
		return tree.Entry{Kind: tree.Dir, Mode: 0o755}
	case strings.HasPrefix(what, "link "):
		return tree.Entry{Kind: tree.Symlink, Mode: 0o777, Target: what[5:], Size: int64(len(what) - 5)}
	}
	return tree.Entry{Kind: tree.File, Mode: 0o644, Digest: tree.Sum([]byte(what)), Size: int64(len(what))}
}

func (m model) tree(t interface{ Fatal(...any) }) *tree.Tree {
	b := tree.NewBuilder()
	for _, path := range slices.Sorted(maps.Keys(m)) {
		if err := b.Add(path, entryOf(m[path])); err != nil {
			t.Fatal(err)
		}
	}
	return opened(t, b)
}

func opened(t interface{ Fatal(...any) }, b *tree.Builder) *tree.Tree {
	tr, err := tree.Open(b.Build())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// changes are those that lead from one model to another.
func changes(from, to model, pol *policy.Policy) []Change {
	var list []Change
	for path, what := range to {
		if was, ok := from[path]; !ok {
			list = append(list, newChange(path, Added, entryOf(what), pol.Decide(path)))
		} else if was != what {
			list = append(list, newChange(path, Modified, entryOf(what), pol.Decide(path)))
		}
	}
	for path, what := range from {
		if _, ok := to[path]; !ok {
			list = append(list, newChange(path, Deleted, entryOf(what), pol.Decide(path)))
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func compile(t testing.TB, specs ...string) *policy.Policy {
	t.Helper()
	var rules []policy.Rule
	for _, s := range specs {
		r, err := policy.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func names(list []Change) string {
	var out []string
	for _, c := range list {
		out = append(out, c.Op.String()[:1]+c.Path)
	}
	return strings.Join(out, " ")
}

func TestMerge(t *testing.T) {
	all := compile(t, "**/*=write", "**/.env=none@9", "/ro/**=read@9")
	base := model{"/d": "dir", "/d/a": "a", "/d/.env": "secret", "/f": "f", "/ro": "dir", "/ro/x": "x"}
	with := func(edit func(model)) model {
		m := maps.Clone(base)
		edit(m)
		return m
	}
	for name, tt := range map[string]struct {
		head, ours       model
		mode             MergeMode
		want             model
		applied, refused string
		conflict         string
	}{
		"a new file is added": {
			base, with(func(m model) { m["/new"] = "n" }), Strict,
			with(func(m model) { m["/new"] = "n" }), "a/new", "", "",
		},
		"a deleted directory keeps its hidden entry": {
			base, with(func(m model) { delete(m, "/d"); delete(m, "/d/a") }), Strict,
			with(func(m model) { delete(m, "/d/a") }), "d/d d/d/a", "", "",
		},
		"a file does not take the place of a directory with a hidden entry": {
			base, with(func(m model) { m["/d"] = "now a file"; delete(m, "/d/a") }), Strict,
			with(func(m model) { delete(m, "/d/a") }), "d/d/a", "m/d", "",
		},
		"a change below write level is refused": {
			base, with(func(m model) { m["/ro/x"] = "y"; m["/f"] = "g" }), Strict,
			with(func(m model) { m["/f"] = "g" }), "m/f", "m/ro/x", "",
		},
		"a hidden name is refused": {
			base, with(func(m model) { m["/d/.env"] = "mine" }), Strict, base, "", "m/d/.env", "",
		},
		"a file becomes a directory": {
			base, with(func(m model) { m["/f"] = "dir"; m["/f/x"] = "x" }), Strict,
			with(func(m model) { m["/f"] = "dir"; m["/f/x"] = "x" }), "m/f a/f/x", "", "",
		},
		"both changed the same file": {
			with(func(m model) { m["/f"] = "theirs" }), with(func(m model) { m["/f"] = "ours" }), Strict,
			nil, "", "", "/f",
		},
		"both made the same change": {
			with(func(m model) { m["/f"] = "same" }), with(func(m model) { m["/f"] = "same" }), Strict,
			with(func(m model) { m["/f"] = "same" }), "m/f", "", "",
		},
		"they deleted what we changed": {
			with(func(m model) { delete(m, "/f") }), with(func(m model) { m["/f"] = "ours" }), Strict,
			nil, "", "", "/f",
		},
		"they changed what we deleted": {
			with(func(m model) { m["/f"] = "theirs" }), with(func(m model) { delete(m, "/f") }), Strict,
			nil, "", "", "/f",
		},
		"they made a file of a directory that we added to": {
			with(func(m model) { m["/d"] = "file"; delete(m, "/d/a"); delete(m, "/d/.env") }),
			with(func(m model) { m["/d/new"] = "n" }), Strict, nil, "", "", "/d/new",
		},
		"the last writer wins over a file": {
			with(func(m model) { m["/f"] = "theirs" }), with(func(m model) { m["/f"] = "ours" }), LastWriterWins,
			with(func(m model) { m["/f"] = "ours" }), "m/f", "", "",
		},
		"the last writer wins over a file in place of a directory": {
			with(func(m model) { m["/d"] = "file"; delete(m, "/d/a"); delete(m, "/d/.env") }),
			with(func(m model) { m["/d/new"] = "n" }), LastWriterWins,
			with(func(m model) { m["/d/new"] = "n"; delete(m, "/d/a"); delete(m, "/d/.env") }), "a/d/new", "", "",
		},
		"what they added keeps a directory that we deleted": {
			with(func(m model) { m["/d/theirs"] = "t" }),
			with(func(m model) { delete(m, "/d"); delete(m, "/d/a") }), Strict,
			with(func(m model) { m["/d/theirs"] = "t"; delete(m, "/d/a") }), "d/d d/d/a", "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			list := changes(base, tt.ours, all)
			b, applied, refused, err := Merge(base.tree(t), tt.head.tree(t), list, tt.mode)
			var conflict *ConflictError
			if tt.conflict != "" {
				if !errors.As(err, &conflict) || strings.Join(conflict.Paths, " ") != tt.conflict {
					t.Fatalf("Merge(%s) = %v, want a conflict at %s", names(list), err, tt.conflict)
				}
				return
			}
			if err != nil {
				t.Fatalf("Merge(%s) = %v", names(list), err)
			}
			if got, want := opened(t, b).Digest(), tt.want.tree(t).Digest(); got != want {
				t.Errorf("Merge(%s) made %s, want %s", names(list), show(opened(t, b)), show(tt.want.tree(t)))
			}
			if names(applied) != tt.applied || names(refused) != tt.refused {
				t.Errorf("Merge(%s) applied %q, refused %q; want %q, %q", names(list), names(applied), names(refused), tt.applied, tt.refused)
			}
		})
	}
}

func show(t *tree.Tree) string {
	var out []string
	for n := range t.Len() {
		e := t.Entry(tree.Node(n))
		out = append(out, fmt.Sprintf("%s:%v:%o:%.4s%s", t.Path(tree.Node(n)), e.Kind, e.Mode, e.Digest, e.Target))
	}
	return strings.Join(out, " ")
}

// genModel draws a small tree whose paths meet often.
func genModel(t *rapid.T, label string) model {
	m := model{}
	for range rapid.IntRange(0, 8).Draw(t, label) {
		path := ""
		for range rapid.IntRange(1, 3).Draw(t, "depth") {
			path += "/" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
		}
		m.put(path, rapid.SampledFrom([]string{"dir", "one", "two", "link x"}).Draw(t, "what"))
	}
	return m
}

// put adds a path and the directories above it, replacing what is in the way.
func (m model) put(path, what string) {
	for i := range len(path) {
		if i > 0 && path[i] == '/' && m[path[:i]] != "dir" {
			m[path[:i]] = "dir"
		}
	}
	if what != "dir" {
		for other := range m {
			if strings.HasPrefix(other, path+"/") {
				delete(m, other)
			}
		}
	}
	m[path] = what
}

func TestMergeOfOursAloneGivesOurs(t *testing.T) {
	pol := compile(t, "**/*=write")
	rapid.Check(t, func(t *rapid.T) {
		base, ours := genModel(t, "base"), genModel(t, "ours")
		for _, mode := range []MergeMode{Strict, LastWriterWins} {
			b, _, refused, err := Merge(base.tree(t), base.tree(t), changes(base, ours, pol), mode)
			if err != nil || len(refused) > 0 {
				t.Fatalf("Merge() = refused %s, %v", names(refused), err)
			}
			if got, want := opened(t, b), ours.tree(t); got.Digest() != want.Digest() {
				t.Fatalf("made %s, want %s", show(got), show(want))
			}
		}
	})
}

func TestMergeNeverTouchesWhatIsHidden(t *testing.T) {
	pol := compile(t, "**/*=write", "**/c/**=none@9")
	rapid.Check(t, func(t *rapid.T) {
		base, head, ours := genModel(t, "base"), genModel(t, "head"), genModel(t, "ours")
		b, _, _, err := Merge(base.tree(t), head.tree(t), changes(base, ours, pol), Strict)
		if err != nil {
			return
		}
		for path, what := range head {
			if pol.Decide(path).Level > policy.None {
				continue
			}
			if got, ok := b.Lookup(path); !ok || !same(got, entryOf(what)) {
				t.Fatalf("hidden %s was %s, is %v, %v", path, what, got, ok)
			}
		}
	})
}
