package sandbox

import (
	"slices"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// diffTrees returns what makes one tree the other, sorted by path. It has a
// change for each entry that goes or comes, also below a directory that does.
func diffTrees(from, to *tree.Tree) []Change {
	d := treeDiff{from: from, to: to}
	d.dirs(tree.Root, tree.Root)
	slices.SortFunc(d.changes, byPath)
	return d.changes
}

type treeDiff struct {
	from, to *tree.Tree
	changes  []Change
}

// dirs compares the children of two directories. They are sorted in both.
func (d *treeDiff) dirs(a, b tree.Node) {
	i, iEnd := d.from.Range(a)
	j, jEnd := d.to.Range(b)
	for i < iEnd || j < jEnd {
		switch {
		case j == jEnd || i < iEnd && d.from.Name(i) < d.to.Name(j):
			d.deleted(i)
			i++
		case i == iEnd || d.to.Name(j) < d.from.Name(i):
			d.added(j)
			j++
		default:
			d.both(i, j)
			i++
			j++
		}
	}
}

func (d *treeDiff) both(a, b tree.Node) {
	if was, is := d.from.Entry(a), d.to.Entry(b); !same(was, is) {
		d.changes = append(d.changes, Change{Path: d.to.Path(b), Op: Modified, Entry: is})
	}
	wasDir, isDir := d.from.Kind(a) == tree.Dir, d.to.Kind(b) == tree.Dir
	switch {
	case wasDir && isDir:
		d.dirs(a, b)
	case wasDir:
		each(d.from, a, d.deleted)
	case isDir:
		each(d.to, b, d.added)
	}
}

// deleted and added report an entry and all below it.
func (d *treeDiff) deleted(n tree.Node) {
	d.changes = append(d.changes, Change{Path: d.from.Path(n), Op: Deleted, Entry: d.from.Entry(n)})
	each(d.from, n, d.deleted)
}

func (d *treeDiff) added(n tree.Node) {
	d.changes = append(d.changes, Change{Path: d.to.Path(n), Op: Added, Entry: d.to.Entry(n)})
	each(d.to, n, d.added)
}

func each(t *tree.Tree, dir tree.Node, f func(tree.Node)) {
	if t.Kind(dir) != tree.Dir {
		return
	}
	first, end := t.Range(dir)
	for n := first; n < end; n++ {
		f(n)
	}
}

// same reports whether two entries are, their times aside: a time alone is no
// change that anybody asked to commit.
func same(a, b tree.Entry) bool {
	a.MTime, b.MTime = 0, 0
	return a == b
}
