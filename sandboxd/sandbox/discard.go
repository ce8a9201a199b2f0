package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/delta"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// nextName is an upper directory that is to take the place of the other.
const nextName = "upper.next"

// DiscardError means that a change cannot be dropped without another.
type DiscardError struct {
	// Path is where the sandbox would not see its snapshot afterwards, or would
	// lose a change that was to stay.
	Path string
}

func (e *DiscardError) Error() string {
	return fmt.Sprintf("the change at %s cannot be dropped, or kept, by itself: a directory above it was removed or replaced; discard that one", e.Path)
}

// Discard drops the changes at the given paths and below them, private and
// shadowed ones too: the sandbox sees its snapshot there again. No paths means
// all. It returns what it dropped.
//
// The sandbox must not run: a [StateError] says that it does. A [DiscardError]
// means that a path cannot be had back without others. After any error nothing
// has changed. What was committed stays in the codebase, and is not undone
// there by the next commit.
func (s *Sandbox) Discard(ctx context.Context, paths []string) (dropped []Change, err error) {
	if err := s.turn.lock(ctx); err != nil {
		return nil, err
	}
	defer s.turn.unlock()
	s.mu.Lock()
	if s.info.Status == Running || s.info.Status == gone {
		err = s.stateError()
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = s.withDelta(ctx, func(upper *os.File) error {
		dropped, err = s.discard(ctx, upper, paths)
		return err
	})
	return dropped, err
}

// discard makes the upper directory that is to be, and then changes the two.
// Turn and delta are held.
func (s *Sandbox) discard(ctx context.Context, upper *os.File, paths []string) ([]Change, error) {
	all, err := s.differ.Diff(upper)
	if err != nil {
		return nil, err
	}
	dropped := within(all, paths)
	whole := len(paths) == 0 || slices.Contains(paths, "/")
	if len(dropped) == 0 && !whole {
		return nil, nil
	}
	place, err := s.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	next, err := s.makeNext(ctx, place, whole)
	if err != nil {
		return nil, err
	}
	defer func() { s.dropNext(place, next) }() // the new one after an error, else the old one
	if !whole {
		if err := s.keepRest(ctx, place, all, paths); err != nil {
			return nil, err
		}
	}
	was := s.past.Clone()
	if err := s.forgetCommitted(paths); err != nil {
		was.Close()
		return nil, err
	}
	if err := unix.Renameat2(int(place.Fd()), next, int(place.Fd()), upperName, unix.RENAME_EXCHANGE); err != nil {
		s.setPast(was)
		return nil, fmt.Errorf("cannot exchange the upper directories: %w", err)
	}
	was.Close()
	s.settled = nil
	return dropped, nil
}

// makeNext makes an empty upper directory beside the one in use, and returns
// its name. On a disk without room the directory that overlayfs works in takes
// the part of the new one, if that is to stay empty.
func (s *Sandbox) makeNext(ctx context.Context, place *os.File, whole bool) (string, error) {
	s.dropNext(place, nextName) // a crash left it
	err := makeUpperDir(int(place.Fd()), nextName, s.info.UID)
	if !whole || !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return nextName, err
	}
	work, err := openIn(place, workName)
	if err != nil {
		return "", err
	}
	defer work.Close()
	if err := empty(ctx, work); err != nil {
		return "", err
	}
	if err := unix.Fchmod(int(work.Fd()), 0o755); err != nil {
		return "", fmt.Errorf("cannot make upper: %w", err)
	}
	return workName, giveAway(int(place.Fd()), workName, s.info.UID)
}

// dropNext gets rid of a directory beside upper. What cannot be removed is in
// nobody's way but the next discard's, which tries again.
func (s *Sandbox) dropNext(place *os.File, name string) {
	err := s.reg.trash.take(place, name)
	if errors.Is(err, unix.ENOENT) {
		return
	}
	if errors.Is(err, unix.EXDEV) { // a disk of its own
		err = s.removeNext(place, name)
	}
	if err != nil {
		s.reg.cfg.Log.Error("cannot drop an upper directory", "sandbox", s.info.ID, "error", err)
	}
}

func (s *Sandbox) removeNext(place *os.File, name string) error {
	dir, err := openIn(place, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := empty(s.reg.life, dir); err != nil || name == workName {
		return err
	}
	return unix.Unlinkat(int(place.Fd()), name, unix.AT_REMOVEDIR)
}

func openIn(place *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(place.Fd()), name, openDir, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// keepRest puts the changes that stay into the new upper directory, and proves
// that they are the right ones.
func (s *Sandbox) keepRest(ctx context.Context, place *os.File, all []Change, paths []string) error {
	upper, err := openIn(place, upperName) // files are linked within one mount only
	if err != nil {
		return err
	}
	defer upper.Close()
	next, err := openIn(place, nextName)
	if err != nil {
		return err
	}
	defer next.Close()
	if err := delta.Link(ctx, upper, next, s.info.UID, paths); err != nil {
		return err
	}
	left, err := delta.Diff(next, s.snap.Tree(), s.pol, s.plan)
	if err != nil {
		return err
	}
	if path, ok := firstDifference(left, outside(all, paths)); ok {
		return &DiscardError{Path: path}
	}
	return nil
}

// outside returns the changes that within does not.
func outside(changes []Change, paths []string) []Change {
	dropped := within(changes, paths)
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool {
		_, ok := slices.BinarySearchFunc(dropped, c, byPath)
		return ok
	})
}

// firstDifference compares two lists of changes but for times, which a new link
// moves.
func firstDifference(a, b []Change) (string, bool) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return b[i].Path, true
		case i >= len(b):
			return a[i].Path, true
		}
		x, y := a[i], b[i]
		x.Entry.MTime, y.Entry.MTime = 0, 0
		if x != y {
			return min(x.Path, y.Path), true
		}
	}
	return "", false
}

// forgetCommitted makes the sandbox remember of what it committed only what it
// still has, so that a later commit does not take the codebase back to the
// snapshot.
func (s *Sandbox) forgetCommitted(paths []string) (err error) {
	back := within(diffTrees(s.past.Tree(), s.snap.Tree()), paths)
	if len(back) == 0 {
		return nil
	}
	builder, _, _, err := delta.Merge(s.past.Tree(), s.past.Tree(), back, delta.LastWriterWins)
	if err != nil {
		return err
	}
	batch, err := s.reg.cfg.Store.Batch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Abort()) }()
	for _, held := range []*store.Snapshot{s.snap, s.past} {
		batch.Trust(held)
	}
	next, err := batch.PutTree(builder)
	if err != nil {
		return err
	}
	if err := batch.Commit(); err != nil {
		next.Close()
		return err
	}
	s.setPast(next)
	return nil
}
