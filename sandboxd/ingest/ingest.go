// Package ingest turns a directory, or an upload, into a snapshot.
//
// A directory is read as the caller: by threads that have the caller's file
// system ids and groups and no capability, one component at a time and never
// through a symbolic link. Regular files, links, modes, times and empty
// directories go in. What does not is counted and named.
//
// It promises that
//   - nothing is opened or read that the policy hides; a file that is hidden
//     under one of its hard links is left out under all;
//   - content is never stored torn: a file that changes while it is read is
//     read again, and one that does not come to rest is an error;
//   - an ingest that fails leaves the store as it was;
//   - memory does not grow with the size of files.
//
// An unchanged tree costs one walk: an index says which content a file had by
// its inode, size and times. It is per caller, directory and options, and is
// believed only for local file systems and for files that were at rest when
// they were read. What no time stamp tells is not seen: a program that goes on
// writing through a shared mapping.
//
// # Who leaves what out
//
//	policy        verdict none, and nothing visible below
//	defaults      __pycache__, *.pyc, .DS_Store
//	IgnoreFile    git's rules, for what is below the file's directory
//	Request       the same rules at the root; the last word
package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
)

var (
	// ErrDirectoryMismatch means that the path leads the daemon to another
	// directory than the caller: it lives in another root or mount namespace.
	ErrDirectoryMismatch = errors.New("not the directory that the caller sees")
	// ErrChanging means that a file or directory did not come to rest.
	ErrChanging = errors.New("changed while it was read")
	// ErrInvalid means that a request cannot be right.
	ErrInvalid = errors.New("invalid request")
	// ErrTooLarge means that a tree or its patterns go over a limit. It is an
	// ErrInvalid too.
	ErrTooLarge = fmt.Errorf("%w: over a limit", ErrInvalid)
)

// PathError says which entry of a directory an ingest failed at. It matches
// the errno behind it with errors.Is.
type PathError struct {
	Op   string // what failed: open, read, ...
	Path string // relative to the directory; "" is the directory itself
	Err  error
}

func (e *PathError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("cannot %s the directory: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("cannot %s %q: %v", e.Op, e.Path, e.Err)
}

func (e *PathError) Unwrap() error { return e.Err }

// Caller is whose rights a directory is read with.
type Caller struct {
	UID, GID uint32
	Groups   []uint32
}

// Request says what to ingest.
type Request struct {
	Caller Caller
	// Dir is an absolute path. Symbolic links on the way are followed as the
	// caller.
	Dir string
	// Device and Inode are the directory's as the caller sees them; a zero
	// Inode skips the check.
	Device, Inode uint64
	// Policy says what is hidden; nil hides nothing.
	Policy *policy.Policy
	// Ignore holds patterns in the syntax of an IgnoreFile.
	Ignore []string
}

// Result says what went in and what did not.
type Result struct {
	// Snapshot is the caller's to close.
	Snapshot *store.Snapshot
	// Files, Dirs and Symlinks count entries; the root is none.
	Files, Dirs, Symlinks int64
	// Bytes is the size of all files, NewBytes what the store lacked of it.
	Bytes, NewBytes int64
	// FilesRead counts the files whose content was not known from before.
	FilesRead int64
	// Skipped is in order of Reason and holds those that occurred.
	Skipped []Skipped
}

// Progress is how far an ingest has come.
type Progress struct {
	Files     int64 // looked at
	BytesRead int64
}

const progressInterval = 100 * time.Millisecond

// Ingester fills one store.
type Ingester struct {
	store *store.Store
	rest  func(*unix.Stat_t, time.Time) time.Duration // restless, but in tests
}

// New returns an Ingester.
func New(s *store.Store) *Ingester { return &Ingester{store: s, rest: restless} }

// Directory reads a directory of this host into a snapshot.
//
// progress may be nil; it is called now and then, from one goroutine at a time
// and not after the return. The error is a *PathError if it is about one
// entry; ErrDirectoryMismatch, ErrChanging and ErrInvalid are matched by
// errors.Is.
func (in *Ingester) Directory(ctx context.Context, req Request, progress func(Progress)) (Result, error) {
	result, err := in.directory(ctx, req, progress)
	if err != nil {
		return Result{}, fmt.Errorf("cannot ingest %q: %w", req.Dir, err)
	}
	return result, nil
}

func (in *Ingester) directory(ctx context.Context, req Request, progress func(Progress)) (Result, error) {
	if len(req.Dir) == 0 || req.Dir[0] != '/' {
		return Result{}, fmt.Errorf("%w: the path is not absolute", ErrInvalid)
	}
	ignore, err := newIgnores(req.Ignore)
	if err != nil {
		return Result{}, err
	}
	batch, err := in.store.Batch()
	if err != nil {
		return Result{}, err
	}
	defer batch.Abort()
	w := newWalk(ctx, in, req, batch, ignore)
	defer w.close()
	if err := w.openRoot(); err != nil {
		return Result{}, err
	}
	key := indexKey(req, w.root)
	last, err := openIndex(in.store, key)
	if err != nil {
		return Result{}, err
	}
	defer last.close()
	if last != nil {
		batch.Trust(last.snapshot)
	}
	w.last = last
	if err := w.run(progress); err != nil {
		return Result{}, err
	}
	return in.finish(w, key)
}

// finish makes the snapshot of what a walk has found.
func (in *Ingester) finish(w *walk, key [32]byte) (Result, error) {
	a := assemble(w.dirs)
	result := Result{Skipped: a.skipped, NewBytes: w.batch.Written(), FilesRead: w.reads.Load()}
	if w.last != nil && a.same(w.last) {
		if err := w.batch.Commit(); err != nil {
			return Result{}, err
		}
		result.Snapshot = w.last.snapshot.Clone()
	} else {
		builder, err := a.build()
		if err != nil {
			return Result{}, err
		}
		if result.Snapshot, err = w.batch.PutTree(builder); err != nil {
			return Result{}, err
		}
		if err := w.batch.Commit(); err != nil {
			return Result{}, errors.Join(err, result.Snapshot.Close())
		}
	}
	result.count()
	if err := w.saveIndex(in.store, key, a, result.Snapshot.Tree()); err != nil {
		return Result{}, errors.Join(err, result.Snapshot.Close())
	}
	return result, nil
}

// count takes the totals from the tree.
func (r *Result) count() {
	t := r.Snapshot.Tree()
	r.Files, r.Dirs, r.Symlinks = int64(t.Files()), int64(t.Dirs()), int64(t.Symlinks())
	r.Bytes = t.Size()
}
