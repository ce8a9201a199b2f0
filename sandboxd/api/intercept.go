package api

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	begin := time.Now()
	defer func() { err = s.leave(ctx, info.FullMethod, begin, recover(), err) }()
	return next(ctx, req)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	begin := time.Now()
	defer func() { err = s.leave(ss.Context(), info.FullMethod, begin, recover(), err) }()
	return next(srv, ss)
}

// leave is where every call ends: a panic becomes an error, every error gets
// its details, and both are logged. Requests are not: they hold secrets.
func (s *Server) leave(ctx context.Context, method string, begin time.Time, panicked any, err error) error {
	log := s.cfg.Log.With("method", method)
	if c, cerr := caller(ctx); cerr == nil {
		log = log.With("uid", c.UID, "pid", c.PID)
	}
	if panicked != nil {
		log.Error("panic", "value", panicked, "stack", string(debug.Stack()))
		err = fail(codes.Internal, ReasonInternal, "internal error")
	}
	if err != nil {
		if _, ok := status.FromError(err); !ok {
			err = translate(err, about{})
		}
	}
	level := slog.LevelDebug
	code := status.Code(err)
	if code == codes.Internal || code == codes.Unknown {
		level = slog.LevelError
	}
	log.Log(ctx, level, "call", "code", code.String(), "took", time.Since(begin), "error", err)
	return err
}
