package policy

import (
	"errors"
	"fmt"
	"slices"
)

// MaxPlan is the most entries that a plan can have.
const MaxPlan = 10_000

// ErrPlanTooLarge means that a policy has too many exceptions in one snapshot:
// each entry of a plan is a mount.
var ErrPlanTooLarge = errors.New("plan is too large")

// Plan says what may change: a policy compiled against a snapshot. Paths are
// absolute ("/" or "/a/b") and sorted bytewise, so parents stand before what
// lies in them. A hidden entry appears in no plan.
type Plan struct {
	// Writable are directories to bind read-write: those in which a fresh name
	// gets level Write and whose parent is not such a directory, or which are
	// below Write themselves and so must stay where they are.
	Writable []string
	// Created are directories that must exist though the view lacks them:
	// those that a write rule names literally, and their parents.
	Created []string
	// Protected are visible entries below level Write, and directories that are
	// not writable, right inside a writable directory.
	Protected []string
	// Files are single writable entries outside writable directories. They are
	// no directories, but may be symbolic links.
	Files []string
}

// ReadOnly reports that nothing may change at all.
func (p Plan) ReadOnly() bool { return len(p.Writable)+len(p.Files) == 0 }

// Plan compiles the policy against a snapshot. The error is [ErrPlanTooLarge]
// if the plan has more than [MaxPlan] entries.
func (p *Policy) Plan(t Tree) (Plan, error) {
	w := planner{policy: p, tree: t}
	w.directory(entry{cursor: p.Root(), exists: true, wanted: p.wanted()})
	if w.entries > MaxPlan {
		return Plan{}, fmt.Errorf("cannot plan: %w: more than %d directories, exceptions and single files to mount", ErrPlanTooLarge, MaxPlan)
	}
	for _, paths := range []*[]string{&w.plan.Writable, &w.plan.Created, &w.plan.Protected, &w.plan.Files} {
		slices.Sort(*paths)
	}
	return w.plan, nil
}

// wanted is a directory that write rules make exist, or one above it.
type wanted struct {
	children map[string]*wanted
}

// wanted returns the directories that write rules name literally and in which
// they win, or nil.
func (p *Policy) wanted() *wanted {
	var root *wanted
	for _, path := range p.nfa.literals {
		c := p.Root()
		for _, name := range path {
			c = c.child(name)
		}
		if c.Creates().Level != Write {
			continue
		}
		if root == nil {
			root = &wanted{}
		}
		at := root
		for _, name := range path {
			next := at.children[name]
			if next == nil {
				next = &wanted{}
				if at.children == nil {
					at.children = map[string]*wanted{}
				}
				at.children[name] = next
			}
			at = next
		}
	}
	return root
}

// planner walks a tree.
type planner struct {
	policy  *Policy
	tree    Tree
	plan    Plan
	entries int
}

// entry is a directory on the walk.
type entry struct {
	node       uint32
	path       string // empty for the root
	cursor     Cursor
	exists     bool // in the tree
	inWritable bool // the parent is writable
	wanted     *wanted
}

func (w *planner) add(list *[]string, path string) {
	if path == "" {
		path = "/"
	}
	if w.entries++; w.entries <= MaxPlan {
		*list = append(*list, path)
	}
}

func (w *planner) full() bool { return w.entries > MaxPlan }

// directory plans a directory and what is below it. It reports whether the
// view shows the directory.
func (w *planner) directory(e entry) bool {
	level := e.cursor.Verdict().Level
	if level == None && e.wanted == nil && !e.cursor.MayReveal() {
		return false
	}
	writable := e.cursor.Creates().Level == Write
	below := w.below(e, level, writable)
	shown := e.exists && (level > None || below || e.path == "")
	if !shown {
		if e.wanted == nil {
			return false
		}
		w.add(&w.plan.Created, e.path)
	}
	switch {
	case writable && (!e.inWritable || level < Write):
		w.add(&w.plan.Writable, e.path)
	case !writable && e.inWritable:
		w.add(&w.plan.Protected, e.path)
	}
	return shown
}

// below plans what lies in a directory, as far as it can matter. For one of
// level None it reports whether any of it is visible.
func (w *planner) below(e entry, level Level, writable bool) bool {
	descend := e.wanted != nil || !writable && e.cursor.mayWrite() || writable && !e.cursor.settled()
	if !descend {
		return level == None && w.policy.Reveals(w.tree, e.node, e.cursor)
	}
	visible := false
	var done map[string]bool // wanted names that are dealt with
	handled := func(name string) {
		if done == nil {
			done = map[string]bool{}
		}
		done[name] = true
	}
	if e.exists {
		w.tree.Children(e.node, func(node uint32, name string, isDir bool) bool {
			child := e.child(node, name, writable)
			if isDir {
				if child.wanted != nil {
					handled(name)
				}
				visible = w.directory(child) || visible
				return !w.full()
			}
			own := child.cursor.Verdict().Level
			if own == None {
				return true
			}
			visible = true
			if child.wanted != nil {
				handled(name)
			}
			switch {
			case own == Write && !writable:
				w.add(&w.plan.Files, child.path)
			case own < Write && writable:
				w.add(&w.plan.Protected, child.path)
			}
			return !w.full()
		})
	}
	if e.wanted == nil {
		return visible
	}
	for name := range e.wanted.children {
		if !done[name] && !w.full() {
			child := e.child(0, name, writable)
			child.exists = false
			w.directory(child)
		}
	}
	return visible
}

// child returns the entry of a name in e.
func (e entry) child(node uint32, name string, inWritable bool) entry {
	c := entry{
		node: node, path: e.path + "/" + name, cursor: e.cursor.child(name),
		exists: true, inWritable: inWritable,
	}
	if e.wanted != nil {
		c.wanted = e.wanted.children[name]
	}
	return c
}
