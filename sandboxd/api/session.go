package api

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func noSessions() error {
	return fail(codes.Unimplemented, ReasonNotImplemented, "this daemon has no sessions yet; use Exec or ExecInteractive")
}

// CreateSession is not implemented yet, like the calls below.
func (s *Server) CreateSession(context.Context, *sandboxv1.CreateSessionRequest) (*sandboxv1.Session, error) {
	return nil, noSessions()
}

// GetSession is not implemented yet.
func (s *Server) GetSession(context.Context, *sandboxv1.GetSessionRequest) (*sandboxv1.Session, error) {
	return nil, noSessions()
}

// ListSessions is not implemented yet.
func (s *Server) ListSessions(context.Context, *sandboxv1.ListSessionsRequest) (*sandboxv1.ListSessionsResponse, error) {
	return nil, noSessions()
}

// DestroySession is not implemented yet.
func (s *Server) DestroySession(context.Context, *sandboxv1.DestroySessionRequest) (*sandboxv1.Empty, error) {
	return nil, noSessions()
}

// SessionExec is not implemented yet.
func (s *Server) SessionExec(context.Context, *sandboxv1.SessionExecRequest) (*sandboxv1.ExecResult, error) {
	return nil, noSessions()
}

// SessionExecStream is not implemented yet.
func (s *Server) SessionExecStream(*sandboxv1.SessionExecRequest, grpc.ServerStreamingServer[sandboxv1.ExecOutput]) error {
	return noSessions()
}
