package api

import (
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// ofStore translates the errors of the content store.
func ofStore(err error, a about) *failure {
	var path *store.PathError
	switch {
	case errors.As(err, &path):
		return ofPath(path)
	case errors.Is(err, tree.ErrEntry):
		return fail(codes.InvalidArgument, ReasonInvalidField, "%v", err)
	case errors.Is(err, store.ErrPageToken):
		return fail(codes.InvalidArgument, ReasonInvalidPageToken, "page_token is not one of ours")
	case errors.Is(err, store.ErrNoUID):
		return overLimit("sandbox-uids", 0, "%v", err)
	case errors.Is(err, store.ErrNotFound) && a.codebase != "":
		return noCodebase(a.codebase)
	}
	return nil
}

func ofPath(e *store.PathError) *failure {
	code, reason, errno := codes.InvalidArgument, ReasonInvalidPath, ""
	switch {
	case errors.Is(e, store.ErrIsDirectory):
		code, reason, errno = codes.FailedPrecondition, ReasonNotAFile, "EISDIR"
	case errors.Is(e, store.ErrNotDirectory):
		code, reason, errno = codes.FailedPrecondition, ReasonNotADirectory, "ENOTDIR"
	}
	return fail(code, reason, "%v", e).with(keyPath, e.Path).with(keyErrno, errno)
}
