package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// PathError says why a path cannot be one of a codebase's.
type PathError struct {
	Path, Reason string
	Err          error // ErrInvalidPath, ErrIsDirectory or ErrNotDirectory
}

func (e *PathError) Error() string { return fmt.Sprintf("path %q: %s", e.Path, e.Reason) }
func (e *PathError) Unwrap() error { return e.Err }

var (
	// ErrInvalidPath means that a path leaves the codebase, or that no file
	// can have it.
	ErrInvalidPath = errors.New("invalid path")
	// ErrIsDirectory means that a directory is where a file was to go.
	ErrIsDirectory = errors.New("is a directory")
	// ErrNotDirectory means that a path leads through a file or a link.
	ErrNotDirectory = errors.New("not a directory")
)

// CleanPath brings a path from a client into the form "a/b"; the root is "".
// A leading slash, "." and repeated slashes are dropped. The error is a
// *PathError for ErrInvalidPath: "..", NUL, or longer than Linux can use.
func CleanPath(path string) (string, error) {
	invalid := func(reason string) (string, error) {
		if len(path) > tree.MaxPath {
			path = path[:tree.MaxPath]
		}
		return "", &PathError{Path: path, Reason: reason, Err: ErrInvalidPath}
	}
	if len(path) > 2*tree.MaxPath {
		return invalid("is too long")
	}
	var parts []string
	length := 0
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return invalid("must not contain ..")
		case strings.IndexByte(part, 0) >= 0:
			return invalid("holds a NUL byte")
		case len(part) > tree.MaxName:
			return invalid(fmt.Sprintf("has a name of more than %d bytes", tree.MaxName))
		}
		length += 1 + len(part)
		parts = append(parts, part)
	}
	if length > tree.MaxPath {
		return invalid(fmt.Sprintf("has more than %d bytes", tree.MaxPath))
	}
	return strings.Join(parts, "/"), nil
}
