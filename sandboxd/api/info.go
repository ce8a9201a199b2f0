package api

import (
	"context"
	"math"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

// GetInfo tells what the daemon is and what it cannot do here.
func (s *Server) GetInfo(ctx context.Context, _ *sandboxv1.GetInfoRequest) (*sandboxv1.Info, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	mine, _ := s.cfg.Sandboxes.List(func(i sandbox.Info) bool { return s.mayUse(c, i.Owner) }, sandbox.Cursor{}, math.MaxInt32)
	return &sandboxv1.Info{
		Version: s.cfg.Version, Kernel: kernel(), Losses: wireLosses(s.cfg.Losses), Sandboxes: int32(len(mine)),
		MaxOutputRate: s.cfg.Sandboxes.OutputRate(0),
	}, nil
}
