package sandbox

import (
	"slices"
	"strings"

	"github.com/agentfense/agentfense/delta"
)

// The words of a diff are delta's.
type (
	// Change is one difference between a sandbox and its snapshot.
	Change = delta.Change
	// Op is what a change does.
	Op = delta.Op
	// ConflictError means that a commit would overwrite what somebody else
	// changed in the codebase.
	ConflictError = delta.ConflictError
)

// The operations.
const (
	Added    = delta.Added
	Modified = delta.Modified
	Deleted  = delta.Deleted
)

// What keeps changes from being taken.
var (
	ErrTooManyChanges = delta.ErrTooLarge
	ErrTooDeep        = delta.ErrTooDeep
	// ErrChanged means that a file changed each time it was read.
	ErrChanged = delta.ErrChanged
)

// MaxChanges is the most entries that a delta may have to be listed or forked.
const MaxChanges = delta.MaxChanges

func byPath(a, b Change) int { return strings.Compare(a.Path, b.Path) }

// within returns the changes at the given paths, which are absolute, and below
// them; no paths means all.
func within(changes []Change, paths []string) []Change {
	if len(paths) == 0 || slices.Contains(paths, "/") {
		return changes
	}
	wanted := make(map[string]bool, len(paths))
	for _, p := range paths {
		wanted[p] = true
	}
	var list []Change
	for _, c := range changes {
		for p := c.Path; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
			if wanted[p] {
				list = append(list, c)
				break
			}
		}
	}
	return list
}
