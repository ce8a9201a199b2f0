package api

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// snapshotRequest tells the request ids of snapshots from those of
// CreateCodebase; clients cannot give a control character.
const snapshotRequest = "\x00snapshot "

// rootedPaths cleans the paths of a call about a sandbox's changes.
func rootedPaths(raw [][]byte) ([]string, error) {
	paths := make([]string, len(raw))
	for i, p := range raw {
		clean, err := cleanPath(string(p))
		if err != nil {
			return nil, err
		}
		paths[i] = rooted(clean)
	}
	return paths, nil
}

// Discard drops changes of a sandbox that does not run.
func (s *Server) Discard(ctx context.Context, req *sandboxv1.DiscardRequest) (*sandboxv1.DiscardResponse, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	paths, err := rootedPaths(req.GetPaths())
	if err != nil {
		return nil, err
	}
	dropped, err := sb.Discard(ctx, paths)
	if state, ok := errors.AsType[*sandbox.StateError](err); ok && state.Status == sandbox.Running {
		f := ofState(state)
		f.message += "; stop it first, or let the call restart it, since changes cannot be taken away from under programs that run"
		return nil, f
	}
	if err != nil {
		return nil, translate(err, about{sandbox: req.GetSandboxId()})
	}
	return &sandboxv1.DiscardResponse{Discarded: wireChanges(dropped, sb.Info().Rules)}, nil
}

// ForkSandbox makes a sandbox like another, and starts it if asked to.
func (s *Server) ForkSandbox(ctx context.Context, req *sandboxv1.ForkSandboxRequest) (*sandboxv1.Sandbox, error) {
	source, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkLabels(req.GetLabels()), checkName("request_id", req.GetRequestId(), maxRequestID)); err != nil {
		return nil, err
	}
	// The source may go meanwhile.
	s.cfg.Sandboxes.HoldCodebase(ctx, source.Info().CodebaseID)
	sb, err := s.cfg.Sandboxes.Fork(ctx, source, sandbox.ForkParams{Owner: c.UID, Labels: req.GetLabels(), RequestID: req.GetRequestId()})
	if err != nil {
		return nil, translate(err, about{sandbox: req.GetSandboxId()})
	}
	return s.startNew(ctx, sb, req.GetStart(), about{})
}

// SnapshotSandbox makes a codebase of what a sandbox began with and may commit.
func (s *Server) SnapshotSandbox(ctx context.Context, req *sandboxv1.SnapshotSandboxRequest) (*sandboxv1.Codebase, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkName("name", req.GetName(), maxName), checkName("request_id", req.GetRequestId(), maxRequestID)); err != nil {
		return nil, err
	}
	request := ""
	if req.GetRequestId() != "" {
		request = snapshotRequest + req.GetRequestId()
		cb, err := s.cfg.Store.Requested(c.UID, request)
		if err == nil {
			return wireCodebase(cb), nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, translate(err, about{sandbox: req.GetSandboxId()})
		}
	}
	snap, err := sb.Snapshot(ctx)
	if err != nil {
		return nil, translate(err, about{sandbox: req.GetSandboxId()})
	}
	defer snap.Close()
	name, ownerID := req.GetName(), ""
	if origin, err := s.cfg.Store.Codebase(sb.Info().CodebaseID); err == nil { // it may be gone
		ownerID = origin.OwnerID
		if name == "" {
			name = origin.Name
		}
	}
	cb, err := s.cfg.Store.CreateCodebaseOf(snap, store.Creation{Owner: c.UID, Name: name, OwnerID: ownerID, RequestID: request})
	if err != nil {
		return nil, translate(err, about{sandbox: req.GetSandboxId()})
	}
	return wireCodebase(cb), nil
}

// ofDelta translates what keeps changes from being dropped or copied.
func ofDelta(err error, _ about) *failure {
	var discard *sandbox.DiscardError
	switch {
	case errors.As(err, &discard):
		return fail(codes.FailedPrecondition, ReasonDiscardImpossible, "%v", discard).with(keyPath, discard.Path)
	case errors.Is(err, sandbox.ErrTooManyChanges):
		return overLimit("changes", sandbox.MaxChanges, "%v", err)
	case errors.Is(err, sandbox.ErrTooDeep):
		return fail(codes.ResourceExhausted, ReasonLimitExceeded, "%v", err).with(keyResource, "path-length")
	case errors.Is(err, sandbox.ErrChanged):
		return fail(codes.Aborted, ReasonFileChanged, "%v", err)
	}
	return nil
}
