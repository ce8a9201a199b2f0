package delta

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// ErrTooDeep means that an upper directory holds a path that is longer than any
// that can be used.
var ErrTooDeep = errors.New("directories are nested too deep")

// copier makes one upper directory like another.
type copier struct {
	ctx context.Context
	uid int
	// to is the top of the copy; nil only looks.
	to *os.File
	// link makes names of the same files, instead of copies.
	link bool
	// without are paths that are left out, with all below them.
	without map[string]bool
	linked  map[uint64]string // files with several names: where the first copy is
	bytes   int               // of their paths
	entries int
	seen    hash.Hash // of all that was met
	moving  bool      // something went while it was looked at
}

// Copy makes an empty directory a copy of an upper directory, whose files
// belong to uid then: private and shadowed files, whiteouts, opaque
// directories, hard links, holes, modes, times, and the attributes that a
// sandbox can set. Where the file system can share content, it does.
//
// Rested reports that nothing changed meanwhile. Otherwise each file is as it
// was at some moment, and what was renamed meanwhile may be missing, or there
// twice.
//
// The error is [ErrTooLarge] or [ErrTooDeep] for what no copy is made of.
func Copy(ctx context.Context, from, to *os.File, uid uint32) (rested bool, err error) {
	c := newCopier(ctx, to, uid)
	if err := c.run(from); err != nil {
		return false, fmt.Errorf("cannot copy the changes: %w", err)
	}
	look := newCopier(ctx, nil, uid)
	if err := look.run(from); err != nil {
		return false, fmt.Errorf("cannot copy the changes: %w", err)
	}
	return !c.moving && !look.moving && slices.Equal(c.seen.Sum(nil), look.seen.Sum(nil)), nil
}

// Link makes an empty directory, on the same file system, like an upper
// directory but for some paths and what lies below them. Files are the same,
// under another name. Nobody may use the upper directory meanwhile.
func Link(ctx context.Context, from, to *os.File, uid uint32, without []string) error {
	c := newCopier(ctx, to, uid)
	c.link = true
	for _, p := range without {
		c.without[p] = true
	}
	if err := c.run(from); err != nil {
		return fmt.Errorf("cannot link the changes: %w", err)
	}
	return nil
}

func newCopier(ctx context.Context, to *os.File, uid uint32) *copier {
	return &copier{
		ctx: ctx, uid: int(uid), to: to, without: map[string]bool{}, linked: map[uint64]string{}, seen: sha256.New(),
	}
}

func (c *copier) run(from *os.File) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	fd, err := unix.Openat(int(from.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	to := -1
	if c.to != nil {
		to = int(c.to.Fd())
	}
	return c.directory(os.NewFile(uintptr(fd), "upper"), to, "")
}

// directory copies what is in one, which it closes, and then what it is.
func (c *copier) directory(from *os.File, to int, path string) error {
	defer from.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	c.note(path, &st)
	names, err := readNames(from)
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	if err != nil {
		return c.gone(path, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := c.entry(int(from.Fd()), to, name, path+"/"+name); err != nil {
			return err
		}
	}
	if c.to == nil {
		return nil
	}
	if err := copyAttributes(int(from.Fd()), to); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return c.finish(to, path, &st)
}

// finish gives an open copy its owner, mode and times, in this order: the first
// takes setuid away, and all move the last.
func (c *copier) finish(fd int, path string, st *unix.Stat_t) error {
	var err error
	if c.uid != os.Getuid() {
		err = unix.Fchown(fd, c.uid, c.uid)
	}
	if err == nil {
		err = unix.Fchmod(fd, st.Mode&0o7777)
	}
	if err == nil {
		err = unix.UtimesNanoAt(fd, "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// note adds an entry to what was seen.
func (c *copier) note(path string, st *unix.Stat_t) {
	b := append([]byte(path), 0)
	for _, v := range []uint64{st.Ino, uint64(st.Mode), st.Rdev, uint64(st.Size), uint64(st.Mtim.Nano()), uint64(st.Ctim.Nano())} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	c.seen.Write(b)
}

// gone drops the error of an entry that was removed or replaced meanwhile.
func (c *copier) gone(path string, err error) error {
	if err = ignoreGone(place{path: path}, err); err == nil {
		c.moving = true
	}
	return err
}

func (c *copier) entry(from, to int, name, path string) error {
	switch err := c.ctx.Err(); {
	case err != nil:
		return err
	case c.without[path]:
		return nil
	case len(path) > tree.MaxPath:
		return fmt.Errorf("%w: %.100q", ErrTooDeep, path)
	}
	if c.entries++; c.entries > MaxChanges {
		return errTooMany
	}
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return c.gone(path, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return c.enter(from, to, name, path)
	}
	c.note(path, &st)
	if c.to == nil {
		return nil
	}
	var err error
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0: // a whiteout may have as many names as an inode can
		err = unix.Mknodat(to, name, unix.S_IFCHR, 0)
	case c.link:
		err = unix.Linkat(from, name, to, name, 0)
		if errors.Is(err, unix.EMLINK) {
			err = c.copyEntry(from, to, name, path, &st)
		} else if err == nil && st.Nlink > 1 {
			err = forgetOrigin(to, name)
		}
	default:
		err = c.copyEntry(from, to, name, path, &st)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// forgetOrigin makes overlayfs forget which file of the lower layer an upper one
// was copied from. That has its own name again if another of the upper one's
// names was left out, and Linux 6.1 answers ESTALE for two files of one origin.
func forgetOrigin(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Removexattr("/proc/self/fd/"+strconv.Itoa(fd), "trusted.overlay.origin")
	if errors.Is(err, unix.ENODATA) { // it has none
		return nil
	}
	return err
}

func (c *copier) enter(from, to int, name, path string) error {
	fd, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return c.gone(path, err)
	}
	dir := os.NewFile(uintptr(fd), "upper")
	if c.to == nil {
		return c.directory(dir, -1, path)
	}
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		dir.Close()
		return fmt.Errorf("%q: %w", path, err)
	}
	next, err := unix.Openat(to, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		dir.Close()
		return fmt.Errorf("%q: %w", path, err)
	}
	defer unix.Close(next)
	return c.directory(dir, next, path)
}

// copyEntry copies what is neither a directory nor a whiteout.
func (c *copier) copyEntry(from, to int, name, path string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if was, ok := c.linked[st.Ino]; ok && st.Nlink > 1 {
			return unix.Linkat(int(c.to.Fd()), was, to, name, 0)
		}
		err := c.copyFile(from, to, name, path)
		if err == nil && st.Nlink > 1 {
			if c.bytes += len(path); c.bytes > MaxBytes {
				return errTooLong
			}
			c.linked[st.Ino] = strings.TrimPrefix(path, "/")
		}
		return err
	case unix.S_IFLNK:
		return c.copyLink(from, to, name, path, st)
	case unix.S_IFIFO, unix.S_IFSOCK:
		if err := unix.Mknodat(to, name, st.Mode&unix.S_IFMT|0o600, 0); err != nil {
			return err
		}
		return c.finishAt(to, name, st)
	}
	return fmt.Errorf("a sandbox cannot have made a file of mode %o: %w", st.Mode, unix.EINVAL)
}

// finishAt is finish for what is not to be opened. The copy is ours alone, so
// its name cannot become a link.
func (c *copier) finishAt(dir int, name string, st *unix.Stat_t) error {
	if c.uid != os.Getuid() {
		if err := unix.Fchownat(dir, name, c.uid, c.uid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(dir, name, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c *copier) copyLink(from, to int, name, path string, st *unix.Stat_t) error {
	buf := make([]byte, tree.MaxPath+2)
	n, err := unix.Readlinkat(from, name, buf)
	if err != nil {
		if errors.Is(err, unix.EINVAL) { // a link no more
			err = unix.ESTALE
		}
		return c.gone(path, err)
	}
	if err := unix.Symlinkat(string(buf[:n]), to, name); err != nil {
		return err
	}
	return c.finishAt(to, name, st)
}
