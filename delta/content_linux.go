package delta

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Putter takes the content of files; store.Batch is one.
type Putter interface {
	Put(r io.Reader) (tree.Digest, int64, error)
}

// Store puts the content of every file that changes would bring into a
// snapshot. The error is [ErrChanged] if a file is not what the diff found; a
// new diff then tells what it is.
func Store(upper *os.File, changes []Change, to Putter) error {
	for _, c := range changes {
		if !c.hasContent() {
			continue
		}
		digest, _, err := storeFile(int(upper.Fd()), c, to)
		if err == nil && digest != c.Entry.Digest {
			err = ErrChanged
		}
		if err != nil {
			return fmt.Errorf("cannot store %q: %w", c.Path, err)
		}
	}
	return nil
}

// StoreAsIs is Store for files that do not rest: it changes the entries to what
// it found. The error is [ErrChanged] if a file is gone.
func StoreAsIs(upper *os.File, changes []Change, to Putter) error {
	for i := range changes {
		c := &changes[i]
		if !c.hasContent() {
			continue
		}
		digest, size, err := storeFile(int(upper.Fd()), *c, to)
		if err != nil {
			return fmt.Errorf("cannot store %q: %w", c.Path, err)
		}
		c.Entry.Digest, c.Entry.Size = digest, size
	}
	return nil
}

// hasContent reports whether a change would bring a file into a snapshot.
func (c Change) hasContent() bool {
	return !c.Refused && c.Op != Deleted && c.Entry.Kind == tree.File
}

func storeFile(upper int, c Change, to Putter) (tree.Digest, int64, error) {
	f, err := openBelow(upper, c.Path)
	if err != nil {
		return tree.Digest{}, 0, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	defer f.Close()
	return to.Put(f)
}

const openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// openBelow opens a regular file of the upper directory, through no link.
func openBelow(upper int, path string) (*os.File, error) {
	fd, err := unix.Openat2(upper, "."+path, &unix.OpenHow{
		Flags: openFlags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	return regular(fd, err)
}

// openFile opens a regular file in a directory. Something else that took its
// name meanwhile is ESTALE.
func openFile(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, openFlags, 0)
	return regular(fd, err)
}

func regular(fd int, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, unix.ESTALE
	}
	return os.NewFile(uintptr(fd), "upper file"), nil
}

const syncWait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER

// maxReads is how often a file that changes while it is read is read again.
const maxReads = 3

// entry describes an open file. The last reading of a file that never rests
// counts as its content.
func (x *index) entry(f *os.File) (tree.Entry, error) {
	for reads := 1; ; reads++ {
		var before, after unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &before); err != nil {
			return tree.Entry{}, err
		}
		e := tree.Entry{Kind: tree.File, Mode: before.Mode & 0o777, MTime: before.Mtim.Nano(), Size: before.Size}
		var known bool
		if e.Digest, known = x.lookup(stampOf(&before)); known {
			return e, nil
		}
		// Written back, pages are write-protected again, so that a later write
		// through a mapping moves the file's times.
		synced := unix.SyncFileRange(int(f.Fd()), 0, 0, syncWait) == nil
		began := time.Now()
		h := sha256.New()
		size, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62))
		if err != nil {
			return tree.Entry{}, err
		}
		h.Sum(e.Digest[:0])
		e.Size = size
		if err := unix.Fstat(int(f.Fd()), &after); err != nil {
			return tree.Entry{}, err
		}
		if stampOf(&before) == stampOf(&after) && size == after.Size {
			if synced {
				x.remember(stampOf(&after), e.Digest, began)
			}
			return e, nil
		}
		if reads == maxReads {
			return e, nil
		}
	}
}
