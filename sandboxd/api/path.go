package api

import (
	"encoding/json"
	"path"
	"strings"

	"google.golang.org/grpc/codes"
)

const (
	workspace = "/workspace"
	maxPath   = 4096
)

// cleanPath returns a path of a codebase relative to its root: "x", "/x" and
// "/workspace/x" are "x", and the root is ".". A path that leaves the root is
// an error.
func cleanPath(p string) (string, error) {
	switch {
	case len(p) > maxPath:
		return "", badPath(p, "longer than %d bytes", maxPath)
	case strings.IndexByte(p, 0) >= 0:
		return "", badPath(p, "it holds a NUL byte")
	}
	if rest, ok := strings.CutPrefix(p, workspace); ok && (rest == "" || rest[0] == '/') {
		p = rest
	}
	p = path.Clean(strings.TrimLeft(p, "/"))
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", badPath(p, "it leaves the codebase")
	}
	return p, nil
}

// cleanFile is cleanPath for what cannot be the root.
func cleanFile(p string) (string, error) {
	if p == "" {
		return "", missing("path")
	}
	dirOnly := strings.HasSuffix(p, "/")
	clean, err := cleanPath(p)
	if err == nil && (clean == "." || dirOnly) {
		err = fail(codes.InvalidArgument, ReasonNotAFile, "%q is a directory", p).with(keyPath, p).with(keyErrno, "EISDIR")
	}
	return clean, err
}

func badPath(p, format string, args ...any) *failure {
	f := fail(codes.InvalidArgument, ReasonInvalidPath, "path %.200q is refused: "+format, append([]any{p}, args...)...)
	return f.with(keyPath, p)
}

// rooted returns a cleaned path as policies have it: "/" or "/a/b".
func rooted(clean string) string {
	if clean == "." {
		return "/"
	}
	return "/" + clean
}

// jsonPaths returns as many paths as fit in one metadata value, as JSON.
func jsonPaths(paths []string) string {
	for n := min(len(paths), 32); n > 0; n-- {
		list := make([]string, n)
		for i, p := range paths[:n] {
			list[i] = clip(p, maxMetadata)
		}
		if data, err := json.Marshal(list); err == nil && len(data) <= maxMetadata {
			return string(data)
		}
	}
	return "[]"
}
