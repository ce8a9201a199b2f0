package delta

import (
	"errors"
	"fmt"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Op is what a change does. The values are those of Change.Operation on the
// wire.
type Op uint8

// The operations. A name whose kind changed is Modified.
const (
	Added Op = iota + 1
	Modified
	Deleted
)

func (o Op) String() string {
	switch o {
	case Added:
		return "added"
	case Modified:
		return "modified"
	case Deleted:
		return "deleted"
	}
	return "unknown"
}

// Change is one difference between a sandbox's upper directory and its
// snapshot.
type Change struct {
	// Path starts with a slash.
	Path string
	Op   Op
	// Entry is what is at Path now; for Deleted, what was. Its Kind is zero for
	// a socket, FIFO or device, which no snapshot can hold.
	Entry tree.Entry
	// Verdict is the policy's on Path.
	Verdict policy.Verdict
	// Shadowed says that the policy hides Path: the sandbox has a private entry
	// there, and no commit applies it.
	Shadowed bool
	// Refused says that no commit applies the change: it is below level Write,
	// or nothing that a snapshot can hold.
	Refused bool
}

var (
	// ErrChanged means that a file changed between a diff and its commit.
	ErrChanged = errors.New("the sandbox changed it meanwhile")
	// ErrTooLarge means that an upper directory holds more than MaxChanges, or
	// that their paths are longer than MaxBytes.
	ErrTooLarge = errors.New("too many changes")

	errTooMany = fmt.Errorf("%w: more than %d", ErrTooLarge, MaxChanges)
	errTooLong = fmt.Errorf("%w: their paths have more than %d bytes", ErrTooLarge, MaxBytes)
)

const (
	// MaxChanges is the most changes that a diff lists.
	MaxChanges = 1 << 20
	// MaxBytes is how long their paths, and the targets of links, may be
	// together: a sandbox gives one link many names for nothing.
	MaxBytes = 128 << 20
)

// newChange judges a change.
func newChange(path string, op Op, e tree.Entry, v policy.Verdict) Change {
	return Change{
		Path: path, Op: op, Entry: e, Verdict: v,
		Shadowed: v.Level == policy.None,
		Refused:  v.Level < policy.Write || e.Kind == 0,
	}
}

// same reports whether two entries are equal but for their names and times.
func same(a, b tree.Entry) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case tree.File:
		return a.Mode == b.Mode && a.Digest == b.Digest
	case tree.Symlink:
		return a.Target == b.Target
	default:
		return a.Mode == b.Mode
	}
}

// entryAt returns what a tree has at a path.
func entryAt(t *tree.Tree, path string) (tree.Entry, bool) {
	n, ok := t.Lookup(path)
	if !ok {
		return tree.Entry{}, false
	}
	return t.Entry(n), true
}

// in reports whether t is already as the change makes it.
func (c Change) in(t *tree.Tree) bool {
	e, ok := entryAt(t, c.Path)
	if c.Op == Deleted {
		return !ok
	}
	return ok && same(e, c.Entry)
}
