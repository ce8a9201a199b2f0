package api

import (
	"errors"
	"io/fs"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/ingest"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

var skipReasons = map[sandboxv1.SkippedEntries_Reason]ingest.Reason{
	sandboxv1.SkippedEntries_REASON_HIDDEN:              ingest.Hidden,
	sandboxv1.SkippedEntries_REASON_IGNORED:             ingest.Ignored,
	sandboxv1.SkippedEntries_REASON_SPECIAL:             ingest.Special,
	sandboxv1.SkippedEntries_REASON_HARD_LINK_TO_HIDDEN: ingest.HardLinkToHidden,
	sandboxv1.SkippedEntries_REASON_NAME_TOO_LONG:       ingest.NameTooLong,
}

// IngestDirectory reads a directory of this host, as the caller, into a
// codebase. Connections are local, or they would have no caller.
func (s *Server) IngestDirectory(req *sandboxv1.IngestDirectoryRequest, stream grpc.ServerStreamingServer[sandboxv1.IngestProgress]) error {
	id, ctx := req.GetCodebaseId(), stream.Context()
	if err := s.allow(ctx, id); err != nil {
		return err
	}
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	if len(req.GetDirectory()) == 0 {
		return missing("directory")
	}
	pol, err := ingestPolicy(req.GetOptions())
	if err != nil {
		return err
	}
	dir := string(req.GetDirectory())
	result, err := s.cfg.Ingester.Directory(ctx, ingest.Request{
		Caller: ingest.Caller{UID: c.UID, GID: c.GID, Groups: c.Groups},
		Dir:    dir, Device: req.GetDevice(), Inode: req.GetInode(),
		Policy: pol, Ignore: req.GetOptions().GetIgnorePatterns(),
	}, func(p ingest.Progress) {
		// A client that is gone ends ctx, and with it the ingest.
		_ = stream.Send(&sandboxv1.IngestProgress{Files: p.Files, BytesRead: p.BytesRead})
	})
	if err != nil {
		return ingestFailed(err, id, dir)
	}
	wire, err := s.adopt(id, result)
	if err != nil {
		return err
	}
	return stream.Send(&sandboxv1.IngestProgress{Files: result.Files, BytesRead: result.NewBytes, Result: wire})
}

// ingestPolicy compiles what an ingest hides; nil hides nothing.
func ingestPolicy(o *sandboxv1.IngestOptions) (*policy.Policy, error) {
	if len(o.GetPermissions()) == 0 {
		return nil, nil
	}
	rules, err := rulesOf(o.GetPermissions())
	if err != nil {
		return nil, translate(err, about{})
	}
	pol, err := policy.Compile(rules)
	if err != nil {
		return nil, translate(err, about{})
	}
	return pol, nil
}

// adopt makes what was ingested the head of a codebase, and closes it.
func (s *Server) adopt(id string, r ingest.Result) (*sandboxv1.IngestResult, error) {
	defer r.Snapshot.Close()
	if err := s.cfg.Store.SetHead(id, tree.Digest{}, r.Snapshot.Digest()); err != nil {
		return nil, translate(err, about{codebase: id})
	}
	cb, err := s.cfg.Store.Codebase(id)
	if err != nil {
		return nil, translate(err, about{codebase: id})
	}
	wire := &sandboxv1.IngestResult{
		Codebase: wireCodebase(cb), Files: r.Files, Directories: r.Dirs, Symlinks: r.Symlinks,
		Bytes: r.Bytes, NewBytes: r.NewBytes,
	}
	for _, skipped := range r.Skipped {
		w := &sandboxv1.SkippedEntries{Reason: wireOf(skipReasons, skipped.Reason), Count: skipped.Count}
		for _, p := range skipped.Paths {
			w.Paths = append(w.Paths, []byte(p))
		}
		wire.Skipped = append(wire.Skipped, w)
	}
	return wire, nil
}

// ingestFailed says why a directory or an upload did not become a snapshot. An
// entry is named relative to the directory.
func ingestFailed(err error, id, dir string) error {
	if f := ingestFailure(err, dir); f != nil {
		return f.with(keyCodebase, id)
	}
	return translate(err, about{codebase: id})
}

func ingestFailure(err error, dir string) *failure {
	var entry *ingest.PathError
	switch {
	case errors.Is(err, ingest.ErrDirectoryMismatch):
		return fail(codes.FailedPrecondition, ReasonDirectoryMismatch, "%v", err).with(keyPath, dir)
	case errors.Is(err, ingest.ErrInvalid), errors.Is(err, ingest.ErrContent), errors.Is(err, ingest.ErrStep):
		return fail(codes.InvalidArgument, ReasonInvalidField, "%v", err)
	case !errors.As(err, &entry):
		return nil
	case errors.Is(err, ingest.ErrChanging):
		return fail(codes.Aborted, ReasonFileChanged, "%v", err).with(keyPath, entry.Path)
	case entry.Path == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
		return fail(codes.NotFound, ReasonDirectoryNotFound, "%v", err).with(keyPath, dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrNotExist):
		return fail(codes.PermissionDenied, ReasonFileUnreadable, "%v", err).with(keyPath, entry.Path).with(keyOperation, entry.Op)
	}
	return nil
}
