package worker

import (
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

const (
	// removeChunk is how many names of one directory are read at once.
	removeChunk = 8192
	// maxRestarts is how often a removal starts over because the sandbox moved
	// directories under its hands, or filled one that was empty.
	maxRestarts = 64
)

// errMoved means that the tree is not the one that was entered.
var errMoved = errors.New("the tree has changed")

// fileID is what no two files have alike.
type fileID struct{ dev, ino uint64 }

func idOf(fd int) (fileID, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return fileID{st.Dev, st.Ino}, err
}

// remove removes a file or a tree. It needs two descriptors however deep the
// tree is, follows no link in it, and removes nothing that the sandbox moved
// out of it before it was listed.
func remove(m *Remove, c *longCall) *Removed {
	c.take()
	defer c.give()
	at, err := removeTree(m, c)
	if err == nil {
		return &Removed{ID: m.ID}
	}
	return &Removed{ID: m.ID, Errno: errnoOf(err), Path: at[:min(len(at), unix.PathMax)]}
}

func removeTree(m *Remove, c *longCall) (string, error) {
	parent, err := unix.Open(path.Dir(m.Path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return m.Path, err
	}
	defer unix.Close(parent)
	r := remover{call: c, parent: parent, top: path.Base(m.Path)}
	// The kernel would say that a mount is read-only before it looks.
	var st unix.Stat_t
	if err := unix.Fstatat(parent, r.top, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return m.Path, err
	}
	for range maxRestarts {
		err = drop(parent, r.top)
		if !m.Recursive || !errors.Is(err, unix.ENOTEMPTY) {
			return m.Path, err
		}
		if err = r.empty(); !errors.Is(err, errMoved) {
			return path.Join(path.Dir(m.Path), r.where()), err
		}
	}
	return m.Path, unix.EBUSY
}

// drop removes one entry, unless it is a directory that is not empty. What is
// gone already counts as removed.
func drop(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if errors.Is(err, unix.EEXIST) {
			err = unix.ENOTEMPTY
		}
		if errors.Is(err, unix.ENOTDIR) { // replaced meanwhile
			err = unix.Unlinkat(dir, name, 0)
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// remover is one attempt to empty and remove a directory.
type remover struct {
	call   *longCall
	parent int
	top    string

	dir    *os.File // the innermost of levels
	levels []level
	failed string // name in the innermost level that could not be removed
}

// level is one directory on the way down.
type level struct {
	name     string // in the directory above
	id       fileID
	names    []string // that were read and are still to be removed
	progress bool     // since names were read last
}

// where is the path of what could not be removed, from top on.
func (r *remover) where() string {
	parts := make([]string, 0, len(r.levels)+1)
	length := 0
	for _, l := range r.levels {
		if length += len(l.name) + 1; length > unix.PathMax {
			break
		}
		parts = append(parts, l.name)
	}
	return path.Join(append(parts, r.failed)...)
}

func (r *remover) empty() error {
	r.levels, r.failed = nil, ""
	if err := r.enter(r.parent, r.top); err != nil {
		return err
	}
	defer func() { _ = r.dir.Close() }()
	for len(r.levels) > 0 {
		if !r.call.breathe() {
			return unix.ECANCELED
		}
		name, err := r.next()
		switch {
		case err != nil:
			return err
		case name == "":
			err = r.leave()
		default:
			err = r.removeEntry(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *remover) removeEntry(name string) error {
	err := drop(int(r.dir.Fd()), name)
	if errors.Is(err, unix.ENOTEMPTY) {
		return r.enter(int(r.dir.Fd()), name)
	}
	if err != nil {
		r.failed = name
		return err
	}
	r.levels[len(r.levels)-1].progress = true
	return nil
}

// enter goes down. What is no directory any more is left to the next reading.
func (r *remover) enter(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		if len(r.levels) == 0 {
			return errMoved
		}
		r.levels[len(r.levels)-1].progress = true
		return nil
	case err != nil:
		r.failed = name
		return err
	}
	id, err := idOf(fd)
	if err != nil {
		unix.Close(fd)
		return err
	}
	if r.dir != nil && len(r.levels) > 0 {
		_ = r.dir.Close()
	}
	r.dir = os.NewFile(uintptr(fd), "directory")
	r.levels = append(r.levels, level{name: name, id: id, progress: true})
	return nil
}

// next returns a name in the innermost level, or "" if it is empty.
func (r *remover) next() (string, error) {
	l := &r.levels[len(r.levels)-1]
	if len(l.names) == 0 {
		if !l.progress {
			return "", errMoved
		}
		if _, err := r.dir.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		names, err := r.dir.Readdirnames(removeChunk)
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		l.names, l.progress = names, false
	}
	name := l.names[len(l.names)-1]
	l.names = l.names[:len(l.names)-1]
	return name, nil
}

// leave goes up, to the directory that it came from and no other, and removes
// the one that it leaves.
func (r *remover) leave() error {
	l := r.levels[len(r.levels)-1]
	if len(r.levels) == 1 {
		return r.gone(drop(r.parent, l.name))
	}
	fd, err := unix.Openat(int(r.dir.Fd()), "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errMoved
	}
	if id, err := idOf(fd); err != nil || id != r.levels[len(r.levels)-2].id {
		unix.Close(fd)
		return errMoved
	}
	_ = r.dir.Close()
	r.dir = os.NewFile(uintptr(fd), "directory")
	return r.gone(drop(fd, l.name))
}

func (r *remover) gone(err error) error {
	if errors.Is(err, unix.ENOTEMPTY) { // filled again, or another directory
		return errMoved
	}
	if err != nil {
		return err
	}
	r.levels = r.levels[:len(r.levels)-1]
	if len(r.levels) > 0 {
		r.levels[len(r.levels)-1].progress = true
	}
	return nil
}
