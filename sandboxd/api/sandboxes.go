package api

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime/docker"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

// defaultPreset is what a sandbox without rules gets.
const defaultPreset = "view-only"

// find returns a sandbox that exists for the caller.
func (s *Server) find(ctx context.Context, id string) (*sandbox.Sandbox, error) {
	if id == "" {
		return nil, missing("sandbox_id")
	}
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	sb, err := s.cfg.Sandboxes.Find(id)
	if err != nil || !s.mayUse(c, sb.Info().Owner) {
		return nil, noSandbox(id)
	}
	sb.Hold(ctx)
	return sb, nil
}

// CreateSandbox makes a sandbox, and starts it if asked to.
func (s *Server) CreateSandbox(ctx context.Context, req *sandboxv1.CreateSandboxRequest) (*sandboxv1.Sandbox, error) {
	params, err := s.params(ctx, req)
	if err != nil {
		return nil, err
	}
	a := about{codebase: req.GetCodebaseId()}
	sb, err := s.cfg.Sandboxes.Create(ctx, params)
	if err != nil {
		return nil, translate(err, a)
	}
	return s.startNew(ctx, sb, req.GetStart(), a)
}

// startNew starts a sandbox that has just been made, if asked to. One that does
// not start for the first time is removed again.
func (s *Server) startNew(ctx context.Context, sb *sandbox.Sandbox, start bool, a about) (*sandboxv1.Sandbox, error) {
	info := sb.Info()
	if !start || info.Status == sandbox.Running {
		return s.wireSandbox(info), nil
	}
	err := sb.Start(ctx)
	var state *sandbox.StateError
	if errors.As(err, &state) && state.Status == sandbox.Running {
		err = nil // the same request, sent twice at once
	}
	if err == nil {
		return s.wireSandbox(sb.Info()), nil
	}
	a.sandbox = info.ID
	if info.Started.IsZero() { // or else a retried request meets one that has been used
		if derr := sb.Destroy(context.WithoutCancel(ctx)); derr != nil && !errors.Is(derr, sandbox.ErrNotFound) {
			s.cfg.Log.Error("cannot destroy a sandbox that did not start", "sandbox", info.ID, "error", derr)
		}
	}
	return nil, translate(err, a)
}

// params checks a request to create.
func (s *Server) params(ctx context.Context, req *sandboxv1.CreateSandboxRequest) (p sandbox.Params, err error) {
	c, err := caller(ctx)
	if err != nil {
		return p, err
	}
	cb, err := s.codebase(ctx, req.GetCodebaseId())
	if err != nil {
		return p, err
	}
	runtime, err := runtimeOf(req)
	if err != nil {
		return p, err
	}
	p = sandbox.Params{
		Runtime:    runtime,
		CodebaseID: cb.ID, Owner: c.UID, Labels: req.GetLabels(), Image: req.GetImage(),
		Mode: sandbox.OnExec, RequestID: req.GetRequestId(),
	}
	if m := req.GetCommitMode(); m != sandboxv1.CommitMode_COMMIT_MODE_UNSPECIFIED {
		var ok bool
		if p.Mode, ok = commitModes[m]; !ok {
			return p, invalid("commit_mode", "%v is unknown", m)
		}
	}
	if p.Rules, err = rulesOf(req.GetPermissions()); err != nil {
		return p, translate(err, about{})
	}
	if len(p.Rules) == 0 {
		if p.Rules, err = policy.Preset(defaultPreset); err != nil {
			return p, err
		}
	}
	if p.Confinement, err = confinementOf(req); err != nil {
		return p, err
	}
	if p.Limits, err = limitsOf(req.GetResources(), s.cfg.Sandboxes.OutputRate(0)); err != nil {
		return p, err
	}
	life, err := duration("expires_in", req.GetExpiresIn(), maxExpiry)
	if err != nil {
		return p, err
	}
	if life > 0 {
		p.Expires = time.Now().Add(life).UTC().Round(0)
	}
	if p.IdleTimeout, err = duration("idle_timeout", req.GetIdleTimeout(), maxExpiry); err != nil {
		return p, err
	}
	return p, errors.Join(checkLabels(p.Labels),
		checkName("image", p.Image, maxLabelValue),
		checkName("request_id", p.RequestID, maxRequestID))
}

// runtimeOf returns the name of the runtime that a request asks for; empty: the
// usual one.
func runtimeOf(req *sandboxv1.CreateSandboxRequest) (string, error) {
	switch req.GetRuntime() {
	case sandboxv1.RuntimeType_RUNTIME_TYPE_UNSPECIFIED, sandboxv1.RuntimeType_RUNTIME_TYPE_BWRAP:
		return "", nil
	case sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER:
		if err := docker.CheckImage(req.GetImage()); err != nil {
			return "", invalid("image", "%v", err)
		}
		return docker.Name, nil
	}
	return "", fail(codes.FailedPrecondition, ReasonRuntimeMissing, "this daemon has no runtime %v", req.GetRuntime()).
		with(keyRuntime, req.GetRuntime().String())
}

// GetSandbox returns one sandbox.
func (s *Server) GetSandbox(ctx context.Context, req *sandboxv1.GetSandboxRequest) (*sandboxv1.Sandbox, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	return s.wireSandbox(sb.Info()), nil
}

// ListSandboxes returns a page of the caller's sandboxes, oldest first.
func (s *Server) ListSandboxes(ctx context.Context, req *sandboxv1.ListSandboxesRequest) (*sandboxv1.ListSandboxesResponse, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := pageCursor(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	infos, more := s.cfg.Sandboxes.List(func(i sandbox.Info) bool {
		return s.mayUse(c, i.Owner) && (req.GetCodebaseId() == "" || i.CodebaseID == req.GetCodebaseId()) &&
			carries(i.Labels, req.GetLabels())
	}, after, size)
	resp := &sandboxv1.ListSandboxesResponse{}
	for _, i := range infos {
		resp.Sandboxes = append(resp.Sandboxes, s.wireSandbox(i))
	}
	if more {
		last := infos[len(infos)-1]
		resp.NextPageToken = pageToken(last.Created, last.ID)
	}
	return resp, nil
}

func carries(labels, want map[string]string) bool {
	for key, value := range want {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// StartSandbox starts a sandbox that does not run.
func (s *Server) StartSandbox(ctx context.Context, req *sandboxv1.StartSandboxRequest) (*sandboxv1.Sandbox, error) {
	return s.change(ctx, req.GetSandboxId(), (*sandbox.Sandbox).Start)
}

// StopSandbox ends a sandbox that runs.
func (s *Server) StopSandbox(ctx context.Context, req *sandboxv1.StopSandboxRequest) (*sandboxv1.Sandbox, error) {
	return s.change(ctx, req.GetSandboxId(), (*sandbox.Sandbox).Stop)
}

func (s *Server) change(ctx context.Context, id string, how func(*sandbox.Sandbox, context.Context) error) (*sandboxv1.Sandbox, error) {
	sb, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := how(sb, ctx); err != nil {
		return nil, translate(err, about{sandbox: id})
	}
	return s.wireSandbox(sb.Info()), nil
}

// DestroySandbox ends a sandbox in any status and drops its delta.
func (s *Server) DestroySandbox(ctx context.Context, req *sandboxv1.DestroySandboxRequest) (*sandboxv1.Empty, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	if err := sb.Destroy(ctx); err != nil {
		return nil, translate(err, about{sandbox: req.GetSandboxId()})
	}
	return &sandboxv1.Empty{}, nil
}
