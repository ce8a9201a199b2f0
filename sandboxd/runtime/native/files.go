package native

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// What one List returns at most: entries, and bytes of their paths and targets.
// A sandbox can give one long link many names for nothing.
const (
	maxListing      = 1_000_000
	maxListingBytes = 64 << 20
)

// reply is a call that waits for a Result, or for all Entries.
type reply struct {
	file    *os.File
	entries []runtime.FileInfo
	bytes   int    // of their paths and targets
	over    bool   // done is closed: what still comes is dropped
	path    string // what could not be removed
	err     error
	done    chan struct{}
}

func (r *reply) receive(m worker.Message, files []*os.File) (bool, error) {
	switch m := m.(type) {
	case *worker.Result:
		if len(files) > 1 || (m.Errno != 0 && len(files) > 0) {
			return false, errors.New("too many files in a result")
		}
		if len(files) == 1 {
			r.file = files[0]
		}
		r.finish(m.Errno)
		return false, nil
	case *worker.Entries:
		if len(files) > 0 {
			return false, errors.New("file in a listing")
		}
		r.list(m.Entries)
		if m.Last && !r.over {
			r.finish(m.Errno)
		}
		return !m.Last, nil
	case *worker.Removed:
		if len(files) > 0 {
			return false, errors.New("file in an answer to remove")
		}
		r.path = m.Path
		r.finish(m.Errno)
		return false, nil
	}
	return false, errors.New("wrong answer to a call on files")
}

// list adds entries. At too many it answers, and drops what still comes.
func (r *reply) list(entries []worker.Entry) {
	if r.over {
		return
	}
	for _, e := range entries {
		r.entries = append(r.entries, runtime.FileInfo(e))
		r.bytes += len(e.Path) + len(e.Target)
	}
	if len(r.entries) > maxListing || r.bytes > maxListingBytes {
		r.entries = nil
		r.fail(runtime.ErrListing)
	}
}

func (r *reply) finish(errno uint32) {
	var err error
	if errno != 0 {
		err = syscall.Errno(errno)
	}
	r.fail(err)
}

func (r *reply) fail(err error) {
	r.err, r.over = err, true
	close(r.done)
}

func (r *reply) abandon() {
	if !r.over {
		r.fail(runtime.ErrEnded)
	}
}

// ask sends a message and waits for the whole answer.
func (i *Instance) ask(ctx context.Context, message func(id uint32) worker.Message) (*reply, error) {
	r := &reply{done: make(chan struct{})}
	id, err := i.begin(r, message)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r, r.err
	case <-ctx.Done():
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
	r, err := i.ask(ctx, func(id uint32) worker.Message {
		return &worker.Open{ID: id, Path: path, Flags: int64(flags), Mode: mode}
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if r.file == nil {
		i.end(errors.New("worker broke the protocol: no file in a result"))
		return nil, runtime.ErrEnded
	}
	return r.file, nil
}

// Stat describes one file.
func (i *Instance) Stat(ctx context.Context, path string) (runtime.FileInfo, error) {
	r, err := i.ask(ctx, func(id uint32) worker.Message { return &worker.Stat{ID: id, Path: path} })
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
	r, err := i.ask(ctx, func(id uint32) worker.Message { return &worker.Rename{ID: id, From: from, To: to} })
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return r.noFile()
}

// Remove removes a file or a tree. When ctx ends, the worker is told to stop.
func (i *Instance) Remove(ctx context.Context, path string, recursive bool) error {
	r, err := i.ask(ctx, func(id uint32) worker.Message {
		return &worker.Remove{ID: id, Path: path, Recursive: recursive}
	})
	if err != nil {
		if r != nil && r.path != "" {
			path = r.path
		}
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return r.noFile()
}

// noFile closes a file that nobody asked for.
func (r *reply) noFile() error {
	if r.file != nil {
		_ = r.file.Close()
	}
	return nil
}

// MakeDirs creates path and its missing parents.
func (i *Instance) MakeDirs(ctx context.Context, path string, mode uint32) error {
	r, err := i.ask(ctx, func(id uint32) worker.Message {
		return &worker.MakeDirs{ID: id, Path: path, Mode: mode}
	})
	if err != nil {
		return &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return r.noFile()
}

// List returns the entries of a directory, or of the whole tree below it.
func (i *Instance) List(ctx context.Context, path string, recursive bool) ([]runtime.FileInfo, error) {
	r, err := i.ask(ctx, func(id uint32) worker.Message {
		return &worker.List{ID: id, Path: path, Recursive: recursive}
	})
	if err != nil {
		return nil, &os.PathError{Op: "list", Path: path, Err: err}
	}
	return r.entries, nil
}
