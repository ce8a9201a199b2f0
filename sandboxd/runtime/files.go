package runtime

import (
	"context"
	"os"
)

// Files acts on the files of a running sandbox as its processes would: as its
// user, through its mounts, under its Landlock rules and its seccomp filter. A
// relative path starts at /workspace. Errors hold the errno.
type Files interface {
	// Open opens path.
	Open(ctx context.Context, path string, flags int, mode uint32) (*os.File, error)
	// Stat describes path; of a link, the link itself. A name that is not there
	// is ENOENT, whatever else stands in the way.
	Stat(ctx context.Context, path string) (FileInfo, error)
	// List returns the entries of a directory, or of the whole tree below it,
	// sorted by path. Paths are relative to the directory.
	List(ctx context.Context, path string, recursive bool) ([]FileInfo, error)
	// MakeDirs creates path and its missing parents, as the sandbox's user.
	MakeDirs(ctx context.Context, path string, mode uint32) error
	// Rename is rename(2).
	Rename(ctx context.Context, from, to string) error
	// Remove removes a file or an empty directory; recursive, also all that is
	// below, until the first error, whose *os.PathError names the entry. It
	// ends with ctx; what is gone by then is gone.
	Remove(ctx context.Context, path string, recursive bool) error
	// Watch begins to watch a directory, or the whole tree below it.
	Watch(ctx context.Context, path string, recursive bool) (Watch, error)
}

// Watch tells the changes of a directory since it was begun.
type Watch interface {
	// Next waits for changes and returns some. It is called by one goroutine at
	// a time. The error is io.EOF once the directory is gone. While Next is not
	// called changes wait in a queue of bounded length; those that do not fit
	// become one Overflow.
	Next(ctx context.Context) ([]FileEvent, error)
	// Close ends the watch. It can be called again.
	Close()
}

// FileEvent is one change.
type FileEvent struct {
	Change FileChange
	// Path is relative to the watched directory, which is empty itself.
	Path string
	Dir  bool
}

// FileChange is what happened.
type FileChange uint32

// The changes. A rename is a removal and a creation, and a directory stands for
// all below it when it is removed.
const (
	FileCreated FileChange = iota + 1
	FileModified
	FileRemoved
	FileAttributes
	// FileOverflow says that changes at and below a path were lost.
	FileOverflow
)

// FileInfo is what lstat tells of one file.
type FileInfo struct {
	// Path is relative to the directory that was listed.
	Path string
	// Mode holds the type and permission bits of st_mode.
	Mode uint32
	Size int64
	// ModTime is in nanoseconds since the epoch.
	ModTime int64
	// Target is where a symbolic link points.
	Target string
}
