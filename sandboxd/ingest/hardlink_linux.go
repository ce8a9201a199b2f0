package ingest

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
)

// linked is a file with several names. It is read only when it is sure that
// the policy hides none of them.
type linked struct {
	names  []linkedName
	left   uint64 // names not found yet
	hidden bool
}

type linkedName struct {
	dir   *dir
	it    *item
	known bool // the last tree has the content
}

func (w *walk) link(d *dir, it *item, nlink uint64, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.links[it.id]
	if f == nil {
		f = &linked{left: nlink}
		w.links[it.id] = f
	}
	f.names = append(f.names, linkedName{d, it, known})
	if f.left > 0 {
		f.left--
	}
}

// readLinked looks for the other names of linked files among what was left
// out, and reads those that have none that is hidden.
func (w *walk) readLinked() error {
	if len(w.links) == 0 {
		return nil
	}
	return asCaller(w.req.Caller, func() error {
		s := search{w: w}
		for _, f := range w.links {
			if f.left > 0 {
				s.left++
			}
		}
		if err := s.all(); err != nil {
			return err
		}
		return w.openLinked(s.blind)
	})
}

// openLinked leaves out what is hidden elsewhere. A file is also left out if
// it has names that were not found, while there are hidden places that could
// not be searched.
func (w *walk) openLinked(blind bool) error {
	byDir := map[*dir][]linkedName{}
	for _, f := range w.links {
		leaveOut := f.hidden || blind && f.left > 0
		for _, name := range f.names {
			if leaveOut {
				name.it.leftOut = true
				name.dir.skip(HardLinkToHidden, name.it.entry.Name, false)
			} else if !name.known {
				byDir[name.dir] = append(byDir[name.dir], name)
			}
		}
	}
	for d, names := range byDir {
		if err := w.openNames(d, names); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) openNames(d *dir, names []linkedName) error {
	fd, err := w.open(d)
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	l := lister{w: w, d: d, fd: fd}
	defer l.drop()
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		path := d.join(name.it.entry.Name)
		file, again, err := openSameFile(fd, name.it.entry.Name, name.it.id)
		switch {
		case errors.Is(err, unix.ENOENT):
			name.it.gone = true
		case err != nil:
			return &PathError{"open", path, err}
		case again:
			return &PathError{"open", path, ErrChanging}
		default:
			l.add(job{file, d, name.it})
		}
	}
	l.flush()
	return nil
}

// search walks what the main walk left out, and only asks for attributes.
type search struct {
	w     *walk
	left  int  // files with names still to be found
	blind bool // something could not be searched
}

func (s *search) all() error {
	for _, d := range s.w.dirs {
		if s.left == 0 {
			return nil
		}
		if len(d.skipped) == 0 {
			continue
		}
		fd, err := s.w.open(d)
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		for _, e := range d.skipped {
			if e.reason == NameTooLong && e.isDir {
				s.blind = true
			} else if err = s.entry(fd, d.path, d.cursor, e.name); err != nil {
				break
			}
		}
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *search) entry(fd int, dirPath string, in policy.Cursor, name string) error {
	if err := s.w.ctx.Err(); err != nil {
		return err
	}
	var st unix.Stat_t
	err := statAt(fd, name, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		s.blind = true
		return nil
	}
	cursor := in.Child(name)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.file(&st, cursor)
	case unix.S_IFDIR:
		return s.directory((&dir{path: dirPath}).join(name), cursor)
	}
	return nil
}

func (s *search) file(st *unix.Stat_t, cursor policy.Cursor) {
	f := s.w.links[fileID{st.Dev, st.Ino}]
	if f == nil || f.left == 0 {
		return
	}
	if f.left--; cursor.Verdict().Level == policy.None {
		f.hidden = true
		f.left = 0
	}
	if f.left == 0 {
		s.left--
	}
}

func (s *search) directory(path string, cursor policy.Cursor) error {
	fd, err := openDirAt(s.w.rootFD, path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		s.blind = true
		return nil
	}
	defer unix.Close(fd)
	names, err := readDir(fd)
	if err != nil {
		s.blind = true
		return nil
	}
	for _, e := range names {
		if s.left == 0 {
			return nil
		}
		if err := s.entry(fd, path, cursor, e.name); err != nil {
			return err
		}
	}
	return nil
}
