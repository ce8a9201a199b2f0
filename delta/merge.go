package delta

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// MergeMode says what to do where the codebase has moved.
type MergeMode uint8

const (
	// LastWriterWins puts the sandbox's changes over whatever is there.
	LastWriterWins MergeMode = iota
	// Strict refuses all if one changed path moved in the codebase.
	Strict
)

// ConflictError names the paths that both the sandbox and somebody else
// changed, sorted.
type ConflictError struct{ Paths []string }

func (e *ConflictError) Error() string {
	shown := e.Paths[:min(len(e.Paths), 5)]
	more := ""
	if n := len(e.Paths) - len(shown); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("conflict: the codebase has changed at %s%s", strings.Join(shown, ", "), more)
}

// Merge applies changes, sorted by path, to head, the codebase's newest tree.
// Base is the snapshot that the changes were found against, or, after a commit,
// that snapshot with what was committed: what base has already is not applied
// again.
//
// It returns the new tree, the changes that made it, and those that were
// refused: the policy's refusals, and a change that would take a hidden or
// refused entry with it.
//
// A directory goes when it is deleted and nothing is left in it; what others
// put there meanwhile keeps it. The error is a [*ConflictError], in mode Strict
// only, or says which entry no tree can hold.
func Merge(base, head *tree.Tree, changes []Change, mode MergeMode) (b *tree.Builder, applied, refused []Change, err error) {
	var fresh []Change
	for _, c := range changes {
		switch {
		case c.Refused:
			refused = append(refused, c)
		case !c.in(base):
			fresh = append(fresh, c)
		}
	}
	if mode == Strict {
		if paths := conflicts(base, head, fresh); len(paths) > 0 {
			return nil, nil, nil, &ConflictError{Paths: paths}
		}
	}
	m := merger{head: head, b: tree.From(head), removed: map[string]int{}}
	// Deletions first, children before their directories; then the rest,
	// parents first.
	for _, c := range slices.Backward(fresh) {
		if c.Op == Deleted {
			m.delete(c.Path)
		}
	}
	for _, c := range fresh {
		if c.Op != Deleted && c.Entry.Kind != tree.Dir && m.occupied(c.Path) {
			c.Refused = true
			refused = append(refused, c)
			continue
		}
		if c.Op != Deleted {
			if err := m.put(c); err != nil {
				return nil, nil, nil, fmt.Errorf("cannot apply %q: %w", c.Path, err)
			}
		}
		applied = append(applied, c)
	}
	return m.b, applied, refused, nil
}

// merger is one Merge under way.
type merger struct {
	head *tree.Tree
	b    *tree.Builder
	// removed counts what was taken out of each directory of the head.
	removed map[string]int
}

// occupied reports whether the head has a directory at path in which something
// is left.
func (m *merger) occupied(path string) bool {
	n, ok := m.head.Lookup(path)
	if !ok || m.head.Kind(n) != tree.Dir {
		return false
	}
	first, end := m.head.Range(n)
	return int(end-first) > m.removed[path]
}

func (m *merger) delete(path string) {
	if _, ok := m.head.Lookup(path); !ok || m.occupied(path) {
		return
	}
	m.b.Remove(path)
	if parent := path[:strings.LastIndexByte(path, '/')]; parent != "" {
		m.removed[parent]++
	}
}

// put adds what is at a path now. A file that somebody put where the sandbox
// has a directory gives way to it.
func (m *merger) put(c Change) error {
	for i := range len(c.Path) {
		if i == 0 || c.Path[i] != '/' {
			continue
		}
		if e, ok := m.b.Lookup(c.Path[:i]); ok && e.Kind != tree.Dir {
			m.b.Remove(c.Path[:i])
		}
	}
	return m.b.Add(c.Path, c.Entry)
}

// conflicts returns the paths at which head is neither what base is nor what
// the sandbox made of it.
func conflicts(base, head *tree.Tree, changes []Change) []string {
	var paths []string
	for _, c := range changes {
		was, had := entryAt(base, c.Path)
		is, has := entryAt(head, c.Path)
		untouched := had == has && (!has || same(was, is))
		if !untouched && !c.in(head) || c.Op == Added && parentReplaced(base, head, c.Path) {
			paths = append(paths, c.Path)
		}
	}
	return paths
}

// parentReplaced reports whether a directory above path has become something
// else in head, or has gone.
func parentReplaced(base, head *tree.Tree, path string) bool {
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		was, had := entryAt(base, path[:i])
		is, has := entryAt(head, path[:i])
		if has && is.Kind != tree.Dir && (!had || was.Kind == tree.Dir) || !has && had && was.Kind == tree.Dir {
			return true
		}
	}
	return false
}
