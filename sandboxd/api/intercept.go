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
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	resp, err = next(ctx, req)
	if err == nil && ctx.Err() == nil {
		s.inflow.answer(ctx, resp)
	}
	return resp, err
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	begin := time.Now()
	defer func() { err = s.leave(ss.Context(), info.FullMethod, begin, recover(), err) }()
	if err := s.admit(ss.Context()); err != nil {
		return err
	}
	return next(srv, &countedStream{ss, s.inflow})
}

// countedStream counts the answers of a stream: what is written of them must not
// be taken for what is written of others.
type countedStream struct {
	grpc.ServerStream
	flow *inflow
}

func (s *countedStream) SendMsg(m any) error {
	s.flow.answer(s.Context(), m)
	return s.ServerStream.SendMsg(m)
}

func (s *Server) admit(ctx context.Context) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	return s.inflow.admit(c)
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
		err = detailed(err)
	}
	level := slog.LevelDebug
	code := status.Code(err)
	if code == codes.Internal || code == codes.Unknown {
		level = slog.LevelError
	}
	log.Log(ctx, level, "call", "code", code.String(), "took", time.Since(begin), "error", err)
	return err
}

// detailed gives an error its details, if it has none.
func detailed(err error) error {
	if st, ok := status.FromError(err); ok && len(st.Details()) > 0 {
		return err
	}
	return translate(err, about{})
}

// ofGRPC gives an error of gRPC its details.
func ofGRPC(err error, _ about) *failure {
	st, ok := status.FromError(err)
	if !ok {
		return nil
	}
	f := fail(st.Code(), ReasonInternal, "%s", st.Message())
	switch st.Code() {
	case codes.Canceled:
		f.reason = ReasonCancelled
	case codes.DeadlineExceeded:
		f.reason = ReasonCallTimeout
	case codes.ResourceExhausted:
		f.reason = ReasonLimitExceeded
		return f.with(keyResource, "message-size")
	case codes.Unimplemented:
		f.reason = ReasonNotImplemented
	case codes.Unavailable:
		f.reason = ReasonShuttingDown
	}
	return f
}

// unknown answers calls of methods that nobody has.
func unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return fail(codes.Unimplemented, ReasonNotImplemented, "this daemon has no method %s", method)
}
