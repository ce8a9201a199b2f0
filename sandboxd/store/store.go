// Package store keeps codebases: file contents by digest, snapshots as
// immutable trees of them, and for each codebase a head, its newest snapshot.
//
// It promises that
//   - an object or a tree that is in its place is complete and on disk, and a
//     tree's objects are there before it is, whenever the machine stops;
//   - a head names a tree that is there, and moves in one step;
//   - nothing that a head, a pinned [Snapshot], an upload or an open [Batch]
//     needs is collected;
//   - memory does not grow with the size of files.
//
// A store is used by one process at a time. All methods are safe for
// concurrent use.
//
// # Layout
//
//	objects/ab/cdef...  content of files, named by its SHA-256
//	trees/abcdef...     snapshots, named by the SHA-256 of their encoding
//	cache/              what can be thrown away; see [Store.WriteCache]
//	lost/               what Fsck moved aside
//	tmp/                files being written; emptied at Open
//	meta.db             codebases, request ids, uploads, sandbox uids (bbolt)
//	lock                held while the store is open
//
// Objects belong to root and the views' group with mode 0440, their
// directories have 0710: a view can open what it has the digest of and list
// nothing.
package store

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

var (
	// ErrLocked means that another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrNotFound means that no codebase, tree or object has this name.
	ErrNotFound = errors.New("not found")
	// ErrHeadMoved means that a head is not what the caller thought.
	ErrHeadMoved = errors.New("head has moved")
	// ErrCorrupt means that what is on disk does not match its name.
	ErrCorrupt = errors.New("store is corrupt")
	// ErrClosed means that a batch was committed or aborted before.
	ErrClosed = errors.New("batch is closed")
	// ErrNoUID means that every uid of the configured range has an owner.
	ErrNoUID = errors.New("no sandbox uid is left")
	// ErrPageToken means that a page token did not come from this store.
	ErrPageToken = errors.New("invalid page token")
)

// Options configures a store. The zero value is good for tests.
type Options struct {
	// ViewGID is the group that may read objects whose digest it knows. It has
	// an effect only for root. Zero: nobody but the owner.
	ViewGID uint32
	// UIDBase and UIDCount are the range that SandboxUID hands out.
	UIDBase, UIDCount uint32
}

// Store is an open store.
type Store struct {
	opt  Options
	path string
	lock *os.File
	root, objects, trees, tmp,
	cache, lost *dir
	db *bolt.DB

	keep    keeper
	repairs atomic.Uint64 // objects that Fsck moved aside so far
	batches atomic.Uint64 // names of temporary files
	collect sync.Mutex    // one collection or fsck at a time

	openMu      sync.Mutex
	openBatches map[string]struct{} // guarded by openMu; prefixes of live temporary files

	snapshotsMu sync.Mutex
	snapshots   map[tree.Digest]*pinned // guarded by snapshotsMu

	seed    maphash.Seed
	stripes [64]sync.Mutex // by codebase id: its head and its uploads

	journalsMu sync.Mutex
	journals   map[string]*journal // guarded by journalsMu; each by its stripe
}

// Open opens the store in a directory, which is made if its parent exists.
// What an interrupted process left in tmp is removed. The error is ErrLocked
// if another process has the store open.
func Open(path string, opt Options) (*Store, error) {
	s := &Store{
		opt: opt, path: path, seed: maphash.MakeSeed(),
		openBatches: map[string]struct{}{},
		snapshots:   map[tree.Digest]*pinned{},
		journals:    map[string]*journal{},
	}
	s.keep.init()
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open store %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.Mkdir(s.path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	var err error
	if s.root, err = openDir(s.path); err != nil {
		return err
	}
	if err := s.root.chmod(0o700); err != nil {
		return err
	}
	if s.lock, err = s.root.lock("lock"); err != nil {
		return err
	}
	if err := s.openDirs(); err != nil {
		return err
	}
	if err := s.tmp.removeAll(); err != nil {
		return fmt.Errorf("cannot clean tmp: %w", err)
	}
	s.db, err = bolt.Open(filepath.Join(s.path, "meta.db"), 0o600,
		&bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("cannot open meta.db: %w", err)
	}
	if err := s.openBuckets(); err != nil {
		return err
	}
	return s.putEmptyTree()
}

func (s *Store) openDirs() (err error) {
	for name, at := range map[string]**dir{
		"trees": &s.trees, "cache": &s.cache, "lost": &s.lost, "tmp": &s.tmp, "objects": &s.objects,
	} {
		if *at, err = s.root.openOrMakeDir(name, 0o700); err != nil {
			return err
		}
	}
	return s.openObjects()
}

// putEmptyTree makes the tree that new codebases have for a head.
func (s *Store) putEmptyTree() error {
	b, err := s.Batch()
	if err != nil {
		return err
	}
	defer b.Abort()
	snapshot, err := b.PutTree(tree.NewBuilder())
	if err != nil {
		return err
	}
	defer snapshot.Close()
	return b.Commit()
}

// Close ends the use of the store. Snapshots and object files that are open
// stay usable; everything else fails.
func (s *Store) Close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	for _, d := range []*dir{s.objects, s.trees, s.tmp, s.cache, s.lost, s.root} {
		if d != nil {
			errs = append(errs, d.file.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

func (s *Store) stripe(id string) *sync.Mutex {
	return &s.stripes[maphash.String(s.seed, id)%uint64(len(s.stripes))]
}
