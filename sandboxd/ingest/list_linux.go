package ingest

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// jobsAtOnce is how many open files go to a reader together.
const jobsAtOnce = 16

// lister decides on the entries of one directory.
type lister struct {
	w       *walk
	d       *dir
	fd      int
	subdirs []*dir
	jobs    []job
}

// entry adds one name to the items, the skipped or, if it is gone by now, to
// nothing. What is hidden is not even looked at if its name tells enough.
func (l *lister) entry(e dirent) error {
	d := l.d
	cursor, hidden, bare := l.w.decide(d, e)
	if hidden {
		d.skip(Hidden, e.name, e.kind == unix.DT_DIR || e.kind == unix.DT_UNKNOWN)
		return nil
	}
	path := d.join(e.name)
	if len(e.name) > tree.MaxName || len(path)+1 > tree.MaxPath {
		d.skip(NameTooLong, e.name, e.kind == unix.DT_DIR || e.kind == unix.DT_UNKNOWN)
		return nil
	}
	for range maxTries {
		again, err := l.look(e.name, path, cursor, bare)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		if !again {
			return nil
		}
	}
	return &PathError{"read", path, ErrChanging}
}

// decide asks the policy about an entry. A name that is hidden whatever it
// names needs no more; bare means that only a directory is visible.
func (w *walk) decide(d *dir, e dirent) (cursor policy.Cursor, hidden, bare bool) {
	if w.req.Policy == nil {
		return cursor, false, false
	}
	cursor = d.cursor.Child(e.name)
	if cursor.Verdict().Level != policy.None {
		return cursor, false, false
	}
	mayBeDir := e.kind == unix.DT_DIR || e.kind == unix.DT_UNKNOWN
	return cursor, !mayBeDir || !cursor.MayReveal(), true
}

// look asks for the kind of an entry and acts on it. It reports true if the
// entry turned out to be something else a moment later.
func (l *lister) look(name, path string, cursor policy.Cursor, bare bool) (again bool, err error) {
	var st unix.Stat_t
	if err := statAt(l.fd, name, &st); err != nil {
		return false, &PathError{"stat", path, err}
	}
	kind := st.Mode & unix.S_IFMT
	isDir := kind == unix.S_IFDIR
	if bare && !isDir {
		l.d.skip(Hidden, name, false)
		return false, nil
	}
	if l.d.ignore.ignored(path, name, isDir) {
		l.d.skip(Ignored, name, isDir)
		return false, nil
	}
	it := item{entry: tree.Entry{Name: name}}
	it.set(&st)
	if l.d.hasOld {
		it.old, _ = l.w.last.tree.Child(l.d.old, name)
	}
	switch kind {
	case unix.S_IFDIR:
		l.directory(it, path, cursor, bare)
	case unix.S_IFREG:
		return l.file(it, path, &st)
	case unix.S_IFLNK:
		return l.symlink(it, path)
	default:
		l.d.skip(Special, name, false)
	}
	return false, nil
}

func (d *dir) skip(reason Reason, name string, isDir bool) {
	d.skipped = append(d.skipped, skip{reason, name, isDir})
}

// set takes over the attributes that a stat tells.
func (it *item) set(st *unix.Stat_t) {
	it.id = fileID{st.Dev, st.Ino}
	it.ctime = st.Ctim.Nano()
	it.entry.Mode, it.entry.MTime = st.Mode&0o777, st.Mtim.Nano()
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		it.entry.Kind = tree.Dir
	case unix.S_IFLNK:
		it.entry.Kind, it.entry.Size, it.entry.Mode = tree.Symlink, st.Size, 0o777
	default:
		it.entry.Kind, it.entry.Size = tree.File, st.Size
	}
}

func (l *lister) keep(it item) *item {
	l.d.items = append(l.d.items, it)
	return &l.d.items[len(l.d.items)-1]
}

func (l *lister) directory(it item, path string, cursor policy.Cursor, bare bool) {
	sub := &dir{path: path, id: it.id, parent: l.d, cursor: cursor, ignore: l.d.ignore, bare: bare}
	if it.old != 0 && l.w.last.tree.Kind(it.old) == tree.Dir {
		sub.old, sub.hasOld = it.old, true
	}
	it.dir = sub
	sub.item = l.keep(it)
	l.subdirs = append(l.subdirs, sub)
}

func (l *lister) symlink(it item, path string) (again bool, err error) {
	if l.known(&it) {
		it.entry.Target = l.w.last.tree.Entry(it.old).Target
		l.keep(it)
		return false, nil
	}
	it.entry.Target, err = readLinkAt(l.fd, it.entry.Name, it.entry.Size)
	if errors.Is(err, unix.EINVAL) {
		return true, nil
	}
	if err != nil {
		return false, &PathError{"read", path, err}
	}
	if len(it.entry.Target) == 0 || len(it.entry.Target) > tree.MaxPath {
		return false, &PathError{"read", path, unix.ENAMETOOLONG}
	}
	it.entry.Size = int64(len(it.entry.Target))
	l.keep(it)
	return false, nil
}

func (l *lister) file(it item, path string, st *unix.Stat_t) (again bool, err error) {
	l.w.looked.Add(1)
	known := l.known(&it)
	if known {
		it.entry.Digest = l.w.last.tree.Entry(it.old).Digest
	}
	if st.Nlink > 1 && l.w.req.Policy != nil {
		// Whether it may be read is known when all names have been seen.
		l.w.link(l.d, l.keep(it), uint64(st.Nlink), known) //nolint:unconvert // arm64 has 32 bits
		return false, nil
	}
	if known {
		l.keep(it)
		return false, nil
	}
	fd, again, err := openSameFile(l.fd, it.entry.Name, it.id)
	if err != nil {
		return false, &PathError{"open", path, err}
	}
	if again {
		return true, nil
	}
	l.add(job{fd, l.d, l.keep(it)})
	return false, nil
}

// known reports whether the last tree has the content of an entry.
func (l *lister) known(it *item) bool {
	return it.old != 0 && l.d.local && l.w.last.has(it)
}

// openSameFile opens a regular file if it is the one that was seen before.
func openSameFile(dir int, name string, id fileID) (fd int, again bool, err error) {
	fd, err = openFileAt(dir, name)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return -1, true, nil // a link or a socket by now
	}
	if err != nil {
		return -1, false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || id != (fileID{st.Dev, st.Ino}) {
		unix.Close(fd)
		return -1, true, nil
	}
	return fd, false, nil
}

func (l *lister) add(j job) {
	l.jobs = append(l.jobs, j)
	if len(l.jobs) == jobsAtOnce {
		l.flush()
	}
}

// flush hands the open files to a reader.
func (l *lister) flush() {
	if len(l.jobs) == 0 {
		return
	}
	select {
	case l.w.jobs <- l.jobs:
		l.jobs = nil
	case <-l.w.ctx.Done():
		l.drop()
	}
}

func (l *lister) drop() {
	for _, j := range l.jobs {
		unix.Close(j.fd)
	}
	l.jobs = nil
}
