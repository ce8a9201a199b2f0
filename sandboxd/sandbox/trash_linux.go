package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxDepth is how deep remove goes before it moves what lies below to the top
// of the trash: a payload may nest directories without end, and each level
// costs a file descriptor.
const maxDepth = 16

// trash is a directory whose entries are removed in the background, one after
// the other. What a crash leaves is removed after the next start.
type trash struct {
	dir  *os.File
	log  *slog.Logger
	wake chan struct{}
	seq  atomic.Uint64
}

func newTrash(dir *os.File, log *slog.Logger) *trash {
	t := &trash{dir: dir, log: log, wake: make(chan struct{}, 1)}
	t.wake <- struct{}{} // there may be leftovers
	return t
}

// take moves an entry of a directory on the same file system to the trash.
func (t *trash) take(from *os.File, name string) error {
	if err := t.move(from, name); err != nil {
		return fmt.Errorf("cannot move %s to the trash: %w", name, err)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return nil
}

func (t *trash) move(from *os.File, name string) error {
	for {
		as := strconv.FormatInt(int64(os.Getpid()), 10) + "-" + strconv.FormatUint(t.seq.Add(1), 10)
		err := unix.Renameat2(int(from.Fd()), name, int(t.dir.Fd()), as, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
}

// empty removes what is in a directory that nobody else uses.
func empty(ctx context.Context, dir *os.File) error {
	if err := newTrash(dir, slog.New(slog.DiscardHandler)).clear(ctx, dir, 0); err != nil {
		return fmt.Errorf("cannot empty a directory: %w", err)
	}
	return nil
}

// run removes what is in the trash until ctx ends.
func (t *trash) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		if err := t.clear(ctx, t.dir, 0); err != nil && ctx.Err() == nil {
			t.log.Error("cannot empty the trash", "error", err)
		}
	}
}

// clear removes the entries of an open directory. It goes on after an error
// and returns the first; it returns when a pass over the directory made no
// progress.
func (t *trash) clear(ctx context.Context, dir *os.File, depth int) error {
	for {
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		removed, err := t.pass(ctx, dir, depth)
		if err != nil && !removed {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !removed {
			return nil
		}
	}
}

// pass removes what one reading of a directory shows.
func (t *trash) pass(ctx context.Context, dir *os.File, depth int) (removed bool, first error) {
	for ctx.Err() == nil {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if ctx.Err() != nil {
				return removed, ctx.Err()
			}
			if err := t.remove(ctx, dir, name, depth); err == nil {
				removed = true
			} else if first == nil {
				first = fmt.Errorf("cannot remove %q: %w", name, err)
			}
		}
		if err == io.EOF {
			return removed, first
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, ctx.Err()
}

// remove removes one entry and all below it, without following links.
func (t *trash) remove(ctx context.Context, dir *os.File, name string, depth int) error {
	at := int(dir.Fd())
	err := unix.Unlinkat(at, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	err = unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
	if err == nil || !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	if depth >= maxDepth {
		return t.move(dir, name)
	}
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	sub := os.NewFile(uintptr(fd), name)
	defer sub.Close()
	if err := t.clear(ctx, sub, depth+1); err != nil {
		return err
	}
	return unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
}
