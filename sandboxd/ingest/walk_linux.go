package ingest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const (
	walkers = 2
	readers = 2
	// maxTries bounds how often a name that changes its meaning is looked at
	// again.
	maxTries = 10
)

// fileID is a file whatever its name.
type fileID struct{ dev, ino uint64 }

// walk is one ingest of a directory. Walkers, on threads of the caller, list
// directories and open files; readers, with the rights of the daemon, put the
// content of open files into the store.
type walk struct {
	ctx     context.Context
	cancel  context.CancelFunc
	req     Request
	batch   *store.Batch
	ignore  *ignores
	rootFD  int
	root    fileID
	last    *index // nil: every file is read
	started time.Time
	rest    func(*unix.Stat_t, time.Time) time.Duration

	jobs      chan []job
	entries   atomic.Int64
	looked    atomic.Int64
	bytesRead atomic.Int64
	reads     atomic.Int64 // files whose content was looked at

	mu     sync.Mutex
	wake   *sync.Cond      // guarded state below has changed
	todo   []*dir          // to be listed
	active int             // walkers that may add to todo
	err    error           // the first
	dirs   []*dir          // all that were found
	local  map[uint64]bool // by device: time stamps can be believed
	links  map[fileID]*linked
}

// dir is a directory that is being, or was, walked.
type dir struct {
	path   string // relative to the root, "" for it
	id     fileID
	parent *dir
	item   *item // in the parent
	cursor policy.Cursor
	ignore *ignores
	bare   bool      // the policy hides the directory, but not all below
	old    tree.Node // the directory in the last tree
	hasOld bool
	local  bool

	items   []item // never grown beyond its capacity: readers hold pointers
	skipped []skip
	pruned  bool // bare, and nothing below is visible
}

type skip struct {
	reason Reason
	name   string
	isDir  bool
}

// item is a visible entry.
type item struct {
	entry   tree.Entry
	id      fileID
	ctime   int64
	old     tree.Node // in the last tree, zero if not there
	dir     *dir      // of a directory
	gone    bool      // deleted meanwhile
	leftOut bool      // a hard link to something hidden
}

func newWalk(ctx context.Context, in *Ingester, req Request, batch *store.Batch, ignore *ignores) *walk {
	w := &walk{
		rest: in.rest, req: req, batch: batch, ignore: ignore, rootFD: -1, started: time.Now(),
		jobs: make(chan []job, 2*readers), local: map[uint64]bool{}, links: map[fileID]*linked{},
	}
	w.wake = sync.NewCond(&w.mu)
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

func (w *walk) close() {
	w.cancel()
	if w.rootFD >= 0 {
		unix.Close(w.rootFD)
	}
}

func (w *walk) openRoot() error {
	err := asCaller(w.req.Caller, func() (err error) {
		w.rootFD, err = openRootDir(w.req.Dir)
		return err
	})
	if err != nil {
		return &PathError{"open", "", err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(w.rootFD, &st); err != nil {
		return &PathError{"stat", "", err}
	}
	w.root = fileID{st.Dev, st.Ino}
	if w.req.Inode != 0 && w.root != (fileID{w.req.Device, w.req.Inode}) {
		return ErrDirectoryMismatch
	}
	return nil
}

// run walks, and reports progress until that is done.
func (w *walk) run(progress func(Progress)) error {
	stop := context.AfterFunc(w.ctx, func() { w.fail(context.Cause(w.ctx)) })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.phases()
	}()
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return w.failed()
		case <-ticker.C:
			if progress != nil {
				progress(Progress{Files: w.looked.Load(), BytesRead: w.bytesRead.Load()})
			}
		}
	}
}

func (w *walk) phases() {
	var reading, walking sync.WaitGroup
	for range readers {
		reading.Go(w.reader)
	}
	root := &dir{id: w.root, ignore: w.ignore, hasOld: w.last != nil}
	if w.req.Policy != nil {
		root.cursor = w.req.Policy.Root()
	}
	w.todo, w.dirs = []*dir{root}, []*dir{root}
	for range walkers {
		walking.Go(func() {
			if err := asCaller(w.req.Caller, w.walker); err != nil {
				w.fail(err)
			}
		})
	}
	walking.Wait()
	if w.failed() == nil {
		if err := w.readLinked(); err != nil {
			w.fail(err)
		}
	}
	close(w.jobs)
	reading.Wait()
}

// fail ends the walk. Only the first error counts.
func (w *walk) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		w.cancel()
	}
	w.wake.Broadcast()
}

func (w *walk) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// walker lists directories until none is left.
func (w *walk) walker() error {
	for {
		d := w.next()
		if d == nil {
			return nil
		}
		subdirs, err := w.list(d)
		w.mu.Lock()
		w.active--
		w.todo = append(w.todo, subdirs...)
		w.dirs = append(w.dirs, subdirs...)
		w.wake.Broadcast()
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (w *walk) next() *dir {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.err != nil:
			return nil
		case len(w.todo) > 0:
			d := w.todo[len(w.todo)-1]
			w.todo = w.todo[:len(w.todo)-1]
			w.active++
			return d
		case w.active == 0:
			return nil
		}
		w.wake.Wait()
	}
}

// list reads one directory and returns those in it.
func (w *walk) list(d *dir) ([]*dir, error) {
	fd, err := w.open(d)
	if err != nil || fd < 0 {
		return nil, err
	}
	defer unix.Close(fd)
	d.local = w.isLocal(fd, d.id.dev)
	names, err := readDir(fd)
	if errors.Is(err, unix.ENOENT) {
		d.vanish()
		return nil, nil
	}
	if err == nil && w.entries.Add(int64(len(names))) > MaxEntries {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, &PathError{"list", d.path, err}
	}
	if err := w.readIgnoreFile(d, fd, names); err != nil {
		return nil, err
	}
	l := lister{w: w, d: d, fd: fd}
	d.items = make([]item, 0, len(names))
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			l.drop()
			return nil, err
		}
		if err := l.entry(name); err != nil {
			l.drop()
			return nil, err
		}
	}
	l.flush()
	return l.subdirs, nil
}

// open opens a directory that was found before; -1 if it is gone.
func (w *walk) open(d *dir) (int, error) {
	if d.path == "" {
		return w.openSame(d, ".")
	}
	for range maxTries {
		fd, err := w.openSame(d, d.path)
		switch {
		case err == nil:
			return fd, nil
		case !errors.Is(err, ErrChanging) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP):
			return -1, &PathError{"open", d.path, err}
		}
		if gone, err := w.lookAgain(d); gone || err != nil {
			return -1, err
		}
	}
	return -1, &PathError{"open", d.path, ErrChanging}
}

func (w *walk) openSame(d *dir, path string) (int, error) {
	fd, err := openDirAt(w.rootFD, path)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && d.id != (fileID{st.Dev, st.Ino}) {
		err = ErrChanging
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// lookAgain finds out what became of a directory that is not what it was.
func (w *walk) lookAgain(d *dir) (gone bool, err error) {
	parent := d.parent.path
	if parent == "" {
		parent = "."
	}
	var st unix.Stat_t
	fd, err := openDirAt(w.rootFD, parent)
	if err == nil {
		err = statAt(fd, d.item.entry.Name, &st)
		unix.Close(fd)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		d.vanish()
		return true, nil
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
		return false, &PathError{"open", d.path, ErrChanging}
	case err != nil:
		return false, &PathError{"open", d.path, err}
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return false, &PathError{"open", d.path, ErrChanging}
	}
	d.id = fileID{st.Dev, st.Ino}
	d.item.set(&st)
	return false, nil
}

func (d *dir) vanish() {
	if d.item != nil {
		d.item.gone = true
	}
}

func (d *dir) join(name string) string {
	if d.path == "" {
		return name
	}
	return d.path + "/" + name
}

// isLocal reports whether a file system's time stamps change with every
// change of a file, and come from this machine's clock.
func (w *walk) isLocal(fd int, dev uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	local, ok := w.local[dev]
	if !ok {
		var st unix.Statfs_t
		local = unix.Fstatfs(fd, &st) == nil && localFileSystems[st.Type]
		w.local[dev] = local
	}
	return local
}

var localFileSystems = map[int64]bool{
	unix.EXT4_SUPER_MAGIC:      true,
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.F2FS_SUPER_MAGIC:      true,
	unix.TMPFS_MAGIC:           true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	0x2fc12fc1:                 true, // ZFS
	0xca451a4e:                 true, // bcachefs
}
