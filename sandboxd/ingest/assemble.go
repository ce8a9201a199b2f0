package ingest

import (
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// assembly is what a walk found, ready to become a tree.
type assembly struct {
	dirs    []*dir // the kept ones, parents before children
	skipped []Skipped
}

// assemble drops the directories that the policy hides and that turned out to
// have nothing visible below, and counts what is left out.
func assemble(dirs []*dir) *assembly {
	visible := map[*dir]bool{dirs[0]: true}
	for _, d := range dirs {
		if !d.showsSomething() {
			continue
		}
		for up := d; up != nil && !visible[up]; up = up.parent {
			visible[up] = true
		}
	}
	a := &assembly{}
	var all skips
	for _, d := range dirs {
		if d.parent != nil && (d.parent.pruned || d.item.gone) {
			d.pruned = true
			continue
		}
		if d.bare && !visible[d] {
			d.pruned = true
			all.add(Hidden, d.path)
			continue
		}
		a.dirs = append(a.dirs, d)
		for _, s := range d.skipped {
			all.add(s.reason, d.join(s.name))
		}
	}
	a.skipped = all.list()
	return a
}

// showsSomething reports whether a directory has an entry of its own that is
// visible, not counting directories that are kept only for what is below.
func (d *dir) showsSomething() bool {
	for i := range d.items {
		if it := &d.items[i]; !it.gone && !it.leftOut && (it.dir == nil || !it.dir.bare) {
			return true
		}
	}
	return false
}

func (it *item) kept() bool {
	return !it.gone && !it.leftOut && (it.dir == nil || !it.dir.pruned)
}

// same reports whether the walk found exactly what the last tree holds.
func (a *assembly) same(last *index) bool {
	total := 1
	for _, d := range a.dirs {
		if !d.hasOld {
			return false
		}
		count := 0
		for i := range d.items {
			it := &d.items[i]
			if !it.kept() {
				continue
			}
			if it.old == 0 || last.tree.Entry(it.old) != it.entry {
				return false
			}
			count++
		}
		if first, end := last.tree.Range(d.old); int(end-first) != count {
			return false
		}
		total += count
	}
	return total == last.tree.Len()
}

func (a *assembly) build() (*tree.Builder, error) {
	b := tree.NewBuilder()
	for _, d := range a.dirs {
		for i := range d.items {
			it := &d.items[i]
			if !it.kept() {
				continue
			}
			if err := b.Add(d.join(it.entry.Name), it.entry); err != nil {
				return nil, &PathError{"store", d.join(it.entry.Name), err}
			}
		}
	}
	return b, nil
}
