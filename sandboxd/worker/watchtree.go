package worker

import "path"

// watchTree knows which directory each watch descriptor stands for.
type watchTree struct {
	root *watched
	byWD map[int]*watched
}

// watched is one directory.
type watched struct {
	parent   *watched // nil for the root
	name     string
	children map[string]*watched
	wd       int
	// told are names that were reported because the directory was found with
	// them in it. The kernel may be about to report them as well.
	told map[string]bool
}

func newWatchTree() *watchTree { return &watchTree{byWD: map[int]*watched{}} }

// path is relative to the root, which is "".
func (w *watched) path() string {
	if w.parent == nil {
		return ""
	}
	return path.Join(w.parent.path(), w.name)
}

// add notes that wd stands for a name in a directory; no directory for the
// root. What either stood for before must have been dropped.
func (t *watchTree) add(parent *watched, name string, wd int) *watched {
	w := &watched{parent: parent, name: name, wd: wd}
	t.byWD[wd] = w
	if parent == nil {
		t.root = w
		return w
	}
	if parent.children == nil {
		parent.children = map[string]*watched{}
	}
	parent.children[name] = w
	return w
}

// drop forgets a directory and all below it, and returns their descriptors.
func (t *watchTree) drop(w *watched) []int {
	if w.parent != nil && w.parent.children[w.name] == w {
		delete(w.parent.children, w.name)
	}
	var wds []int
	for todo := []*watched{w}; len(todo) > 0; {
		last := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if t.byWD[last.wd] == last { // or it stands for another directory by now
			wds = append(wds, last.wd)
			delete(t.byWD, last.wd)
		}
		for _, child := range last.children {
			todo = append(todo, child)
		}
	}
	return wds
}
