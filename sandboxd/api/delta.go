package api

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

var operations = map[sandboxv1.Change_Operation]sandbox.Op{
	sandboxv1.Change_OPERATION_ADDED:    sandbox.Added,
	sandboxv1.Change_OPERATION_MODIFIED: sandbox.Modified,
	sandboxv1.Change_OPERATION_DELETED:  sandbox.Deleted,
}

// Diff lists what a sandbox changed.
func (s *Server) Diff(ctx context.Context, req *sandboxv1.DiffRequest) (*sandboxv1.DiffResponse, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	changes, err := sb.Diff(ctx)
	if err != nil {
		return nil, translate(err, about{sandbox: req.GetSandboxId()})
	}
	return &sandboxv1.DiffResponse{Changes: wireChanges(changes, sb.Info().Rules)}, nil
}

// Commit applies what a sandbox changed to its codebase.
func (s *Server) Commit(ctx context.Context, req *sandboxv1.CommitRequest) (*sandboxv1.CommitResponse, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	paths, err := rootedPaths(req.GetPaths())
	if err != nil {
		return nil, err
	}
	info := sb.Info()
	res, err := sb.Commit(ctx, paths)
	if err != nil {
		return nil, commitFailed(err, about{sandbox: info.ID, codebase: info.CodebaseID})
	}
	return &sandboxv1.CommitResponse{
		Head:    res.Head.String(),
		Applied: wireChanges(res.Applied, info.Rules),
		Refused: wireChanges(res.Refused, info.Rules),
	}, nil
}

// commitFailed says why nothing was committed.
func commitFailed(err error, a about) error {
	if f := known(err, a); f != nil {
		return f.with(keySandbox, a.sandbox).with(keyCodebase, a.codebase)
	}
	return fail(codes.Internal, ReasonCommitFailed, "the changes could not be committed: %v", err).
		with(keySandbox, a.sandbox).with(keyCodebase, a.codebase)
}

func wireChanges(changes []sandbox.Change, rules []policy.Rule) []*sandboxv1.Change {
	wire := make([]*sandboxv1.Change, len(changes))
	for i, c := range changes {
		wire[i] = &sandboxv1.Change{
			Path: []byte(c.Path), Operation: wireOf(operations, c.Op), Kind: wireOf(kinds, c.Entry.Kind),
			Mode: c.Entry.Mode, Size: c.Entry.Size, Shadowed: c.Shadowed, Refused: c.Refused,
			Rule: wireRule(c.Verdict, rules),
		}
	}
	return wire
}
