package worker

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// MaxWatched is how many directories one watch follows.
	MaxWatched = 16384
	// maxPending is how many changes wait for the daemon before they are
	// dropped; the kernel has a queue of its own.
	maxPending = 16384

	watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
		unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
)

// watcher turns what inotify says into changes of a tree.
type watcher struct {
	call      *longCall
	fd        int
	path      string // of the watched directory
	id        fileID
	recursive bool
	tree      *watchTree
	fresh     []*watched // those with names that were told
	tellFound bool       // what a scan finds is a change

	pending []Event
	lost    bool // pending was full
	gone    bool // the watched directory is
}

// newWatcher watches a directory, with all below it if recursive.
func newWatcher(dir string, recursive bool, c *longCall) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	w := &watcher{call: c, fd: fd, path: dir, recursive: recursive, tree: newWatchTree()}
	if err := w.begin(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	w.tellFound = true
	return w, nil
}

// begin watches the directory anew.
func (w *watcher) begin() error {
	dir, err := w.openRoot()
	if err != nil {
		return err
	}
	wd, err := w.watchFD(dir)
	if err != nil {
		unix.Close(dir)
		return err
	}
	return w.scan(dir, w.tree.add(nil, "", wd))
}

// openRoot opens the watched directory, if that is still what its path names.
// It is not held open: the kernel says that a directory is gone only when
// nobody has it open.
func (w *watcher) openRoot() (int, error) {
	dir, err := unix.Open(w.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	id, err := idOf(dir)
	if err == nil && w.id != (fileID{}) && w.id != id {
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(dir)
		return -1, err
	}
	w.id = id
	return dir, nil
}

// openBelow opens a directory below the watched one, through no link.
func (w *watcher) openBelow(rel string) (int, error) {
	root, err := w.openRoot()
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return unix.Openat2(root, rel, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
}

// watchFD watches the directory that is open, whatever its name is by now.
func (w *watcher) watchFD(dir int) (int, error) {
	if len(w.tree.byWD) >= MaxWatched {
		return 0, unix.ENOSPC
	}
	return unix.InotifyAddWatch(w.fd, "/proc/self/fd/"+strconv.Itoa(dir), watchMask)
}

// scan reads a directory that has just been watched, which it closes, and with
// recursive all below it. What disappears or cannot be opened meanwhile is
// passed over, as find(1) does.
func (w *watcher) scan(dir int, at *watched) error {
	f := os.NewFile(uintptr(dir), "directory")
	if !w.recursive {
		return f.Close()
	}
	entries, err := f.ReadDir(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return passOver(err)
	}
	var dirs []fs.DirEntry
	for _, e := range entries {
		w.found(at, e)
		if e.IsDir() {
			dirs = append(dirs, e)
		}
	}
	for _, e := range dirs {
		if !w.call.breathe() {
			return unix.ECANCELED
		}
		if err := w.follow(at, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) found(at *watched, e fs.DirEntry) {
	if !w.tellFound || w.lost {
		return
	}
	w.emit(Event{Created, path.Join(at.path(), e.Name()), e.IsDir()})
	if at.told == nil {
		at.told = map[string]bool{}
		w.fresh = append(w.fresh, at)
	}
	at.told[e.Name()] = true
}

// follow watches a directory in another.
func (w *watcher) follow(at *watched, name string) error {
	rel := path.Join(at.path(), name)
	dir, err := w.openBelow(rel)
	if err != nil {
		return passOver(err)
	}
	wd, err := w.watchFD(dir)
	if err != nil {
		unix.Close(dir)
		if w.tellFound && errors.Is(err, unix.ENOSPC) {
			w.emit(Event{Overflow, rel, true})
			return nil
		}
		return passOver(err)
	}
	old := w.tree.byWD[wd]
	if old != nil && old.parent == at && old.name == name {
		unix.Close(dir)
		return nil
	}
	if old != nil { // it has moved, and the news of that is on its way
		w.unwatch(old, wd)
	}
	if stale := at.children[name]; stale != nil {
		w.unwatch(stale, wd)
	}
	return w.scan(dir, w.tree.add(at, name, wd))
}

func passOver(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		return err
	}
	return nil
}

// unwatch drops a directory with all below it. One descriptor may be kept.
func (w *watcher) unwatch(old *watched, keep int) {
	for _, wd := range w.tree.drop(old) {
		if wd != keep {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd)) // it may be gone with its directory
		}
	}
}

func (w *watcher) emit(e Event) {
	switch n := len(w.pending); {
	case n > 0 && w.pending[n-1] == e:
	case n >= maxPending:
		w.lost = true
	default:
		w.pending = append(w.pending, e)
	}
}

// handle takes what was read from inotify.
func (w *watcher) handle(b []byte) error {
	for len(b) >= unix.SizeofInotifyEvent && !w.gone {
		e, rest := parseInotify(b)
		b = rest
		if e.mask&unix.IN_Q_OVERFLOW != 0 {
			w.lost = true
		}
		if err := w.event(e); err != nil {
			return err
		}
		if w.lost {
			return w.restart()
		}
	}
	return nil
}

// restart looks at everything again after changes were lost.
func (w *watcher) restart() error {
	w.unwatch(w.tree.root, -1)
	w.tree, w.fresh, w.pending, w.lost = newWatchTree(), nil, nil, false
	w.tellFound = false
	err := w.begin()
	w.tellFound = true
	switch {
	case err == nil:
		w.emit(Event{Overflow, "", true})
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		w.end()
		err = nil
	}
	return err
}

func (w *watcher) end() {
	w.emit(Event{Removal, "", true})
	w.gone = true
}

func (w *watcher) event(e inotifyEvent) error {
	at := w.tree.byWD[e.wd]
	switch {
	case at == nil:
		return nil
	case e.name == "":
		if at == w.tree.root {
			w.rootEvent(e.mask)
		}
		return nil // the directory above has told
	}
	change := changeOf(e.mask)
	known := at.told[e.name]
	switch change {
	case 0:
		return nil
	case Created:
		delete(at.told, e.name)
		if known && e.mask&unix.IN_CREATE != 0 {
			return nil
		}
	case Removal:
		delete(at.told, e.name)
		if child := at.children[e.name]; child != nil {
			w.unwatch(child, -1)
		}
	}
	isDir := e.mask&unix.IN_ISDIR != 0
	w.emit(Event{change, path.Join(at.path(), e.name), isDir})
	if change == Created && isDir && w.recursive {
		return w.follow(at, e.name)
	}
	return nil
}

func (w *watcher) rootEvent(mask uint32) {
	switch {
	case mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0:
		w.end()
	case mask&unix.IN_ATTRIB != 0:
		w.emit(Event{Attributes, "", true})
	}
}

// settled forgets what was told: the kernel has nothing more to say of it.
func (w *watcher) settled() {
	for _, at := range w.fresh {
		at.told = nil
	}
	w.fresh = w.fresh[:0]
}

func changeOf(mask uint32) Change {
	switch {
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		return Created
	case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		return Removal
	case mask&unix.IN_MODIFY != 0:
		return Modified
	case mask&unix.IN_ATTRIB != 0:
		return Attributes
	}
	return 0
}
