package api

import (
	"context"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// allow returns an error unless a codebase exists for the caller, and keeps it in
// use until ctx ends. It does not make the store fold what was uploaded, as
// reading the codebase does.
func (s *Server) allow(ctx context.Context, id string) error {
	if id == "" {
		return missing("codebase_id")
	}
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	owner, err := s.cfg.Store.Owner(id)
	if err != nil {
		return translate(err, about{codebase: id})
	}
	if !s.mayUse(c, owner) || !s.cfg.Sandboxes.HoldCodebase(ctx, id) {
		return noCodebase(id)
	}
	return nil
}

// codebase returns a codebase that exists for the caller.
func (s *Server) codebase(ctx context.Context, id string) (store.Codebase, error) {
	if err := s.allow(ctx, id); err != nil {
		return store.Codebase{}, err
	}
	cb, err := s.cfg.Store.Codebase(id)
	if err != nil {
		return cb, translate(err, about{codebase: id})
	}
	return cb, nil
}

// CreateCodebase makes an empty codebase of the caller's.
func (s *Server) CreateCodebase(ctx context.Context, req *sandboxv1.CreateCodebaseRequest) (*sandboxv1.Codebase, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	for field, value := range map[string]string{"name": req.GetName(), "owner_id": req.GetOwnerId(), "request_id": req.GetRequestId()} {
		if err := checkName(field, value, maxName); err != nil {
			return nil, err
		}
	}
	idle, err := duration("idle_timeout", req.GetIdleTimeout(), maxExpiry)
	if err != nil {
		return nil, err
	}
	cb, err := s.cfg.Store.CreateCodebase(store.Creation{
		Owner: c.UID, Name: req.GetName(), OwnerID: req.GetOwnerId(), RequestID: req.GetRequestId(), IdleTimeout: idle,
	})
	if err != nil {
		return nil, translate(err, about{})
	}
	s.cfg.Sandboxes.Lease(cb.ID, cb.IdleTimeout)
	return wireCodebase(cb), nil
}

// GetCodebase returns one codebase.
func (s *Server) GetCodebase(ctx context.Context, req *sandboxv1.GetCodebaseRequest) (*sandboxv1.Codebase, error) {
	cb, err := s.codebase(ctx, req.GetCodebaseId())
	if err != nil {
		return nil, err
	}
	return wireCodebase(cb), nil
}

// ListCodebases returns a page of the caller's codebases, oldest first.
func (s *Server) ListCodebases(ctx context.Context, req *sandboxv1.ListCodebasesRequest) (*sandboxv1.ListCodebasesResponse, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	filter := store.Filter{OwnerID: req.GetOwnerId()}
	if !s.isAdmin(c) {
		filter.Owner = &c.UID
	}
	list, next, err := s.cfg.Store.Codebases(filter, store.Page{Size: size, Token: req.GetPageToken()})
	if err != nil {
		return nil, translate(err, about{})
	}
	resp := &sandboxv1.ListCodebasesResponse{NextPageToken: next}
	for _, cb := range list {
		resp.Codebases = append(resp.Codebases, wireCodebase(cb))
	}
	return resp, nil
}

// DeleteCodebase forgets a codebase. Its sandboxes keep their snapshots.
func (s *Server) DeleteCodebase(ctx context.Context, req *sandboxv1.DeleteCodebaseRequest) (*sandboxv1.Empty, error) {
	id := req.GetCodebaseId()
	if err := s.allow(ctx, id); err != nil {
		return nil, err
	}
	if err := s.cfg.Store.DeleteCodebase(id); err != nil {
		return nil, translate(err, about{codebase: id})
	}
	s.cfg.Sandboxes.EndLease(id)
	return &sandboxv1.Empty{}, nil
}

// KeepCodebase makes a codebase stay until somebody deletes it.
func (s *Server) KeepCodebase(ctx context.Context, req *sandboxv1.KeepCodebaseRequest) (*sandboxv1.Codebase, error) {
	id := req.GetCodebaseId()
	if err := s.allow(ctx, id); err != nil {
		return nil, err
	}
	if err := s.cfg.Store.KeepCodebase(id); err != nil {
		return nil, translate(err, about{codebase: id})
	}
	s.cfg.Sandboxes.EndLease(id)
	return s.GetCodebase(ctx, &sandboxv1.GetCodebaseRequest{CodebaseId: id})
}
