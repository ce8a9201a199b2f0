package worker

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// openFile opens a file for the daemon, with the rights of the sandbox. It
// does not wait for the other end of a FIFO.
func openFile(up *Conn, m *Open) error {
	const always = unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	fd, err := unix.Open(m.Path, int(m.Flags)|always, m.Mode)
	for err == unix.EINTR {
		fd, err = unix.Open(m.Path, int(m.Flags)|always, m.Mode)
	}
	if err != nil {
		return up.Send(&Result{ID: m.ID, Errno: errnoOf(err)})
	}
	defer unix.Close(fd)
	return up.Send(&Result{ID: m.ID}, fd)
}

func makeDirs(up *Conn, m *MakeDirs) error {
	return up.Send(&Result{ID: m.ID, Errno: errnoOf(os.MkdirAll(m.Path, os.FileMode(m.Mode&0o777)))})
}

// list sends the entries of a directory in parts that fit a packet, unless they
// are more than may be sent.
func list(up *Conn, m *List) error {
	out := lister{up: up, id: m.ID}
	err := out.walk(m.Path, "", m.Recursive, true)
	if out.broken != nil {
		return out.broken
	}
	return out.flush(true, errnoOf(err))
}

type lister struct {
	up     *Conn
	id     uint32
	batch  []Entry
	size   int
	count  int   // of entries so far
	bytes  int   // of their paths and targets
	broken error // the socket's
}

// walk lists dir. Below the first level, what disappears or cannot be read
// meanwhile is as it would be for find(1): listed, and not descended into.
func (l *lister) walk(dir, prefix string, recursive, first bool) error {
	names, err := readNames(dir)
	if err != nil {
		if first {
			return err
		}
		return nil
	}
	for _, name := range names {
		e, err := lstat(filepath.Join(dir, name), path.Join(prefix, name))
		if err != nil {
			continue
		}
		if err := l.add(e); err != nil {
			return err
		}
		if recursive && e.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := l.walk(filepath.Join(dir, name), e.Path, true, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func readNames(dir string) ([]string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), strings.ToValidUTF8(dir, "?"))
	defer f.Close()
	entries, err := f.ReadDir(-1)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.Sort(names)
	return names, err
}

func lstat(file, rel string) (Entry, error) {
	var st unix.Stat_t
	if err := unix.Lstat(file, &st); err != nil {
		return Entry{}, err
	}
	e := Entry{Path: rel, Mode: st.Mode, Size: st.Size, ModTime: st.Mtim.Nano()}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		e.Target, _ = os.Readlink(file) // refused for view-only links
	}
	return e, nil
}

func (l *lister) add(e Entry) error {
	l.count++
	l.bytes += len(e.Path) + len(e.Target)
	if l.count > MaxListing || l.bytes > MaxListingBytes {
		l.batch = nil
		return ErrListing
	}
	size := len(e.Path) + len(e.Target) + 40
	if l.size+size > MaxInline-128 {
		if l.broken = l.flush(false, 0); l.broken != nil {
			return l.broken
		}
	}
	l.batch, l.size = append(l.batch, e), l.size+size
	return nil
}

func (l *lister) flush(last bool, errno uint32) error {
	err := l.up.Send(&Entries{ID: l.id, Entries: l.batch, Last: last, Errno: errno})
	l.batch, l.size = l.batch[:0], 0
	return err
}

// stat answers with the one entry that lstat gives.
func stat(up *Conn, m *Stat) error {
	e, err := lstat(m.Path, m.Path)
	if err != nil {
		return up.Send(&Entries{ID: m.ID, Last: true, Errno: errnoOf(err)})
	}
	return up.Send(&Entries{ID: m.ID, Last: true, Entries: []Entry{e}})
}

// rename looks first: on a read-only mount the kernel refuses before it does,
// and a name that is not there would be told from one that is by nothing else.
func rename(up *Conn, m *Rename) error {
	var st unix.Stat_t
	err := unix.Lstat(m.From, &st)
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, m.From, unix.AT_FDCWD, m.To, 0)
	}
	return up.Send(&Result{ID: m.ID, Errno: errnoOf(err)})
}
