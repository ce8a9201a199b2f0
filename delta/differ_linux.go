package delta

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Differ lists the changes of one sandbox, time and again. It is not safe for
// concurrent use.
type Differ struct {
	base    *tree.Tree
	policy  *policy.Policy
	created map[string]bool
	index   index
}

// NewDiffer returns a Differ of the snapshot that a sandbox sees, its policy,
// and the plan that was made of the two.
func NewDiffer(base *tree.Tree, pol *policy.Policy, plan policy.Plan) *Differ {
	d := &Differ{base: base, policy: pol, created: map[string]bool{}}
	for _, path := range plan.Created {
		d.created[path] = true
	}
	return d
}

// Diff is the one Diff of a new Differ.
func Diff(upper *os.File, base *tree.Tree, pol *policy.Policy, plan policy.Plan) ([]Change, error) {
	return NewDiffer(base, pol, plan).Diff(upper)
}

// Diff compares the upper directory with the snapshot and returns the changes,
// sorted by path. Files have their digests. A file that was only touched, or
// changed back, is no change; a directory that the plan made is none either.
//
// Entries that come and go meanwhile are listed as they were met.
func (d *Differ) Diff(upper *os.File) ([]Change, error) {
	w := walk{Differ: d}
	d.index.begin()
	fd, err := unix.Openat(int(upper.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the upper directory: %w", err)
	}
	root := place{cursor: d.policy.Root(), lower: tree.Root, below: true}
	if err := w.directory(os.NewFile(uintptr(fd), "upper"), root); err != nil {
		return nil, fmt.Errorf("cannot list the changes: %w", err)
	}
	d.index.end()
	slices.SortFunc(w.changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return w.changes, nil
}

// walk is one Diff under way.
type walk struct {
	*Differ
	changes []Change
	bytes   int
}

// place is one path on the walk.
type place struct {
	path   string // empty for the root
	cursor policy.Cursor
	// lower is the entry of the snapshot that shows at the path, if below.
	lower tree.Node
	below bool
	// opaque says that a directory above hides the snapshot's: what upper lacks
	// is gone. Entries are still compared with it, so that equal ones are no
	// change.
	opaque bool
}

func (w *walk) add(p place, op Op, e tree.Entry) error {
	if len(w.changes) == MaxChanges {
		return errTooMany
	}
	if w.bytes += len(p.path) + len(e.Target); w.bytes > MaxBytes {
		return errTooLong
	}
	w.changes = append(w.changes, newChange(p.path, op, e, p.cursor.Verdict()))
	return nil
}

// child returns the place of a name in a directory. The snapshot shows there
// what it has, unless the policy hides it.
func (w *walk) child(p place, name string) place {
	c := place{path: p.path + "/" + name, cursor: p.cursor.Child(name), opaque: p.opaque}
	if !p.below || w.base.Kind(p.lower) != tree.Dir {
		return c
	}
	if n, ok := w.base.Child(p.lower, name); ok && w.visible(n, c.cursor) {
		c.lower, c.below = n, true
	}
	return c
}

func (w *walk) visible(n tree.Node, c policy.Cursor) bool {
	return c.Verdict().Level > policy.None || w.base.Kind(n) == tree.Dir && w.policy.Reveals(w.base, n, c)
}

// directory compares the children of a directory, which it closes.
func (w *walk) directory(dir *os.File, p place) error {
	defer dir.Close()
	opaque, err := isOpaque(int(dir.Fd()))
	if err != nil {
		return err
	}
	p.opaque = p.opaque || opaque
	names, err := readNames(dir)
	if err != nil {
		return fmt.Errorf("%q: %w", p.path, err)
	}
	for _, name := range names {
		if err := w.entry(int(dir.Fd()), name, w.child(p, name)); err != nil {
			return err
		}
	}
	if !p.opaque || !p.below || w.base.Kind(p.lower) != tree.Dir {
		return nil
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		seen[name] = true
	}
	return w.deleteChildren(p, seen)
}

// readNames returns the names in a directory, unless a diff has no room for them.
func readNames(dir *os.File) ([]string, error) {
	var all []string
	for size := 0; ; {
		some, err := dir.Readdirnames(4096)
		for _, name := range some {
			size += len(name)
		}
		all = append(all, some...)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(all) > MaxChanges:
			return nil, errTooMany
		case size > MaxBytes:
			return nil, errTooLong
		}
	}
}

func isOpaque(fd int) (bool, error) {
	var value [4]byte
	n, err := unix.Fgetxattr(fd, "trusted.overlay.opaque", value[:])
	switch {
	case err == nil:
		return string(value[:n]) == "y", nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ERANGE):
		return false, nil
	}
	return false, fmt.Errorf("cannot read overlay attributes: %w", err)
}

// entry compares one name in the directory dir.
func (w *walk) entry(dir int, name string, p place) error {
	if len(p.path) > tree.MaxPath {
		return w.add(p, Added, tree.Entry{})
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreGone(p, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return w.enter(dir, name, p, &st)
	case unix.S_IFREG:
		return w.file(dir, name, p)
	case unix.S_IFLNK:
		return w.link(dir, name, p, &st)
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return w.delete(p)
		}
	}
	return w.changed(p, tree.Entry{MTime: st.Mtim.Nano()})
}

// ignoreGone drops the error of an entry that the sandbox removed or replaced
// meanwhile.
func ignoreGone(p place, err error) error {
	switch {
	case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ESTALE):
		return nil
	}
	return fmt.Errorf("%q: %w", p.path, err)
}

// changed notes what is at p now, if that is a change.
func (w *walk) changed(p place, now tree.Entry) error {
	if !p.below {
		return w.add(p, Added, now)
	}
	was := w.base.Entry(p.lower)
	if same(was, now) {
		return nil
	}
	if was.Kind == tree.Dir && now.Kind != tree.Dir {
		if err := w.deleteChildren(p, nil); err != nil {
			return err
		}
	}
	return w.add(p, Modified, now)
}

func (w *walk) enter(dir int, name string, p place, st *unix.Stat_t) error {
	if !w.created[p.path] {
		now := tree.Entry{Kind: tree.Dir, Mode: st.Mode & 0o777, MTime: st.Mtim.Nano()}
		// A bare directory shows other permissions than it has, and cannot be
		// changed.
		bare := p.below && p.cursor.Verdict().Level < policy.Read && w.base.Kind(p.lower) == tree.Dir
		if !bare {
			if err := w.changed(p, now); err != nil {
				return err
			}
		}
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return ignoreGone(p, err)
	}
	return w.directory(os.NewFile(uintptr(fd), "upper"), p)
}

func (w *walk) file(dir int, name string, p place) error {
	f, err := openFile(dir, name)
	if err != nil {
		return ignoreGone(p, err)
	}
	defer f.Close()
	now, err := w.index.entry(f)
	if err != nil {
		return ignoreGone(p, err)
	}
	return w.changed(p, now)
}

func (w *walk) link(dir int, name string, p place, st *unix.Stat_t) error {
	buf := make([]byte, tree.MaxPath+2)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		if errors.Is(err, unix.EINVAL) { // a link no more
			return nil
		}
		return ignoreGone(p, err)
	}
	return w.changed(p, tree.Entry{Kind: tree.Symlink, Mode: 0o777, Size: int64(n), MTime: st.Mtim.Nano(), Target: string(buf[:n])})
}

// delete notes that what the snapshot shows at p is gone, and all that it shows
// below.
func (w *walk) delete(p place) error {
	if !p.below {
		return nil
	}
	if w.base.Kind(p.lower) == tree.Dir {
		if err := w.deleteChildren(p, nil); err != nil {
			return err
		}
	}
	return w.add(p, Deleted, w.base.Entry(p.lower))
}

// deleteChildren does the same for what is in a directory, but for names that
// are spared.
func (w *walk) deleteChildren(p place, spared map[string]bool) error {
	var err error
	w.base.Children(p.lower, func(_ tree.Node, name string, _ bool) bool {
		if !spared[name] {
			err = w.delete(w.child(p, name))
		}
		return err == nil
	})
	return err
}
