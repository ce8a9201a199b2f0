package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// reply is a call that waits for one answer: a Result, a Removed, or Entries in
// parts.
type reply struct {
	answer worker.Kind // the only one that is taken
	lists  bool        // its entries lie below what was asked for
	opens  bool        // it brings a file, unless it is an error
	file   *os.File
	count  int    // entries so far
	bytes  int    // of their paths and targets
	path   string // what could not be removed
	err    error
	done   chan struct{}

	mu      sync.Mutex // above what follows, until done is closed
	entries []runtime.FileInfo
	dropped bool // nobody waits for them
}

func newReply(answer worker.Kind) *reply { return &reply{answer: answer, done: make(chan struct{})} }

func newFileReply() *reply {
	r := newReply(worker.KindResult)
	r.opens = true
	return r
}

func newListReply() *reply {
	r := newReply(worker.KindEntries)
	r.lists = true
	return r
}

func (r *reply) receive(m worker.Message, files []*os.File) (bool, error) {
	if m.Kind() != r.answer {
		return false, errors.New("wrong answer to a call on files")
	}
	if result, ok := m.(*worker.Result); ok && r.opens && result.Errno == 0 {
		if len(files) != 1 {
			return false, errors.New("an opened file is not one file")
		}
		r.file = files[0]
	} else if len(files) > 0 {
		return false, errors.New("file in an answer that has none")
	}
	switch m := m.(type) {
	case *worker.Result:
		r.finish(m.Errno)
	case *worker.Removed:
		r.path = m.Path
		r.finish(m.Errno)
	case *worker.Entries:
		if err := r.list(m); err != nil || !m.Last {
			return true, err
		}
		r.finish(m.Errno)
	}
	return false, nil
}

// list adds entries. A worker sends no more than it may, and no part for nothing.
func (r *reply) list(m *worker.Entries) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range m.Entries {
		if r.lists && !below(e.Path) {
			return fmt.Errorf("%.100q in a listing", e.Path)
		}
		if !r.dropped {
			r.entries = append(r.entries, runtime.FileInfo(e))
		}
		r.bytes += len(e.Path) + len(e.Target)
	}
	r.count += len(m.Entries)
	if r.count > worker.MaxListing || r.bytes > worker.MaxListingBytes || !m.Last && len(m.Entries) == 0 {
		return errors.New("a listing that does not end")
	}
	return nil
}

// drop lets go of the entries that came, and of those that still come.
func (r *reply) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries, r.dropped = nil, true
}

// below says whether a path leads to something below a directory, whoever joins
// the two.
func below(p string) bool {
	return filepath.IsLocal(p) && path.Clean(p) == p && p != "." && !strings.Contains(p, "\x00")
}

// finish answers the call. It waits no more, so this happens once.
func (r *reply) finish(errno uint32) {
	if errno != 0 {
		r.err = syscall.Errno(errno)
	}
	close(r.done)
}

func (r *reply) abandon() {
	r.err = runtime.ErrEnded
	close(r.done)
}

// ask sends a message and waits for the whole answer.
func (i *Instance) ask(ctx context.Context, r *reply, message func(id uint32) worker.Message) (*reply, error) {
	id, err := i.begin(r, message)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r, r.err
	case <-ctx.Done():
		r.drop()
		i.cancel(id)
		go func() { // the answer may still bring a file
			<-r.done
			if r.file != nil {
				_ = r.file.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// Open opens a file inside the sandbox, without waiting for the other end of a
// FIFO. What it returns need not be a regular file.
func (i *Instance) Open(ctx context.Context, path string, flags int, mode uint32) (*os.File, error) {
	r, err := i.ask(ctx, newFileReply(), func(id uint32) worker.Message {
		return &worker.Open{ID: id, Path: path, Flags: int64(flags), Mode: mode}
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return r.file, nil
}

// Stat describes one file.
func (i *Instance) Stat(ctx context.Context, path string) (runtime.FileInfo, error) {
	r, err := i.ask(ctx, newReply(worker.KindEntries), func(id uint32) worker.Message { return &worker.Stat{ID: id, Path: path} })
	if err != nil {
		return runtime.FileInfo{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if len(r.entries) != 1 {
		i.end(errors.New("worker broke the protocol: no entry in the answer to stat"))
		return runtime.FileInfo{}, runtime.ErrEnded
	}
	return r.entries[0], nil
}

// Rename moves a file.
func (i *Instance) Rename(ctx context.Context, from, to string) error {
	_, err := i.ask(ctx, newReply(worker.KindResult), func(id uint32) worker.Message {
		return &worker.Rename{ID: id, From: from, To: to}
	})
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Remove removes a file or a tree. When ctx ends, the worker is told to stop.
func (i *Instance) Remove(ctx context.Context, path string, recursive bool) error {
	r, err := i.ask(ctx, newReply(worker.KindRemoved), func(id uint32) worker.Message {
		return &worker.Remove{ID: id, Path: path, Recursive: recursive}
	})
	if err != nil {
		if r != nil && r.path != "" {
			path = r.path
		}
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// MakeDirs creates path and its missing parents.
func (i *Instance) MakeDirs(ctx context.Context, path string, mode uint32) error {
	_, err := i.ask(ctx, newReply(worker.KindResult), func(id uint32) worker.Message {
		return &worker.MakeDirs{ID: id, Path: path, Mode: mode}
	})
	if err != nil {
		return &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// List returns the entries of a directory, or of the whole tree below it.
func (i *Instance) List(ctx context.Context, path string, recursive bool) ([]runtime.FileInfo, error) {
	r, err := i.ask(ctx, newListReply(), func(id uint32) worker.Message {
		return &worker.List{ID: id, Path: path, Recursive: recursive}
	})
	if errors.Is(err, worker.ErrListing) {
		err = runtime.ErrListing
	}
	if err != nil {
		return nil, &os.PathError{Op: "list", Path: path, Err: err}
	}
	return r.entries, nil
}
