package api

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// Caller is who is at the other end of a connection, as the kernel says.
type Caller struct {
	UID, GID uint32
	// Groups are the supplementary groups, as of connect(2).
	Groups []uint32
	// PID is for logs only: it may be somebody else's by now.
	PID int32

	conn *countedConn
}

// AuthType makes a Caller credentials.AuthInfo.
func (Caller) AuthType() string { return "peercred" }

func (c Caller) inGroup(gid uint32) bool { return c.GID == gid || slices.Contains(c.Groups, gid) }

// caller returns who makes the call of a context.
func caller(ctx context.Context) (Caller, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(Caller); ok {
			return c, nil
		}
	}
	return Caller{}, fail(codes.Unauthenticated, ReasonUnauthenticated, "the connection does not say who calls")
}

// isAdmin reports whether a caller may use what belongs to others.
func (s *Server) isAdmin(c Caller) bool {
	return c.UID == 0 || (s.cfg.AdminGroup != nil && c.inGroup(*s.cfg.AdminGroup))
}

// mayUse reports whether something of an owner exists for a caller.
func (s *Server) mayUse(c Caller, owner uint32) bool { return c.UID == owner || s.isAdmin(c) }
