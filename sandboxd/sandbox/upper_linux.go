package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// The directories of a sandbox's overlay.
const (
	upperName = "upper"
	workName  = "work"
)

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openUpper opens the upper directory of a sandbox.
func (s *Sandbox) openUpper(ctx context.Context) (*os.File, error) {
	dir, err := s.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Openat(int(dir.Fd()), upperName, openDir, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open upper: %w", err)
	}
	return os.NewFile(uintptr(fd), upperName), nil
}

// makeUpperDir makes an upper directory without changes.
func makeUpperDir(at int, name string, uid uint32) error {
	if err := unix.Mkdirat(at, name, 0o755); err != nil {
		return fmt.Errorf("cannot make %s: %w", name, err)
	}
	return giveAway(at, name, uid)
}

// giveAway makes the sandbox's user the owner of an upper directory.
func giveAway(at int, name string, uid uint32) error {
	if int(uid) == os.Getuid() {
		return nil
	}
	if err := unix.Fchownat(at, name, int(uid), int(uid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("cannot give away %s: %w", name, err)
	}
	return nil
}

// makeCreated makes the directories in upper that a plan asks for and that
// neither snapshot nor delta has. It never follows a link: a payload that put
// one, or a file, in the place of such a directory keeps what it made.
func makeCreated(upper *os.File, created []string, base *tree.Tree, uid uint32) error {
	for _, path := range created {
		if err := makePath(int(upper.Fd()), path, base, uid); err != nil {
			return fmt.Errorf("cannot make %q in upper: %w", path, err)
		}
	}
	return nil
}

// makePath makes one directory and its missing parents below an open one.
// Parents that the snapshot has get its mode and times, for in an overlay the
// upper directory's attributes are the ones that show.
func makePath(upper int, path string, base *tree.Tree, uid uint32) error {
	at, err := unix.Dup(upper)
	if err != nil {
		return err
	}
	defer func() { unix.Close(at) }()
	node, inBase := tree.Node(0), true
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if inBase {
			if node, inBase = base.Child(node, name); inBase && base.Kind(node) != tree.Dir {
				return unix.ENOTDIR
			}
		}
		attr := dirAttr{mode: 0o755, uid: uid}
		if inBase {
			e := base.Entry(node)
			attr.mode, attr.mtime = e.Mode, e.MTime
		}
		next, err := enter(at, name, attr)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil
		}
		if err != nil {
			return err
		}
		unix.Close(at)
		at = next
	}
	return nil
}

type dirAttr struct {
	mode  uint32
	uid   uint32
	mtime int64 // ns; 0 leaves it alone
}

// enter opens a directory below another, and makes it if it is missing. The
// time of the parent is kept.
func enter(at int, name string, attr dirAttr) (int, error) {
	fd, err := unix.Openat(at, name, openDir, 0)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	var parent unix.Stat_t
	if err := unix.Fstat(at, &parent); err != nil {
		return -1, err
	}
	if err := unix.Mkdirat(at, name, 0o700); err != nil {
		return -1, err
	}
	if fd, err = unix.Openat(at, name, openDir, 0); err != nil {
		return -1, err
	}
	err = attr.apply(fd)
	if err == nil {
		err = setTime(at, parent.Mtim)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (a dirAttr) apply(fd int) error {
	if int(a.uid) != os.Getuid() {
		if err := unix.Fchown(fd, int(a.uid), int(a.uid)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, a.mode&0o777); err != nil {
		return err
	}
	if a.mtime == 0 {
		return nil
	}
	return setTime(fd, unix.NsecToTimespec(a.mtime))
}

func setTime(fd int, mtime unix.Timespec) error {
	times := [2]unix.Timespec{mtime, mtime}
	return unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH)
}
