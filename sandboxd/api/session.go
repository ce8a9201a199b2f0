package api

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/session"
)

// CreateSession starts a shell in a sandbox that runs.
func (s *Server) CreateSession(ctx context.Context, req *sandboxv1.CreateSessionRequest) (*sandboxv1.Session, error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	p := session.Params{Shell: req.GetShell(), Caller: c.UID, RequestID: req.GetRequestId()}
	if p.Env, err = environ(req.GetEnv(), false); err != nil {
		return nil, err
	}
	if p.Dir, err = workdir(req.GetWorkdir()); err != nil {
		return nil, err
	}
	if p.Idle, err = duration("idle_timeout", req.GetIdleTimeout(), maxTimeout); err != nil {
		return nil, err
	}
	if err := errors.Join(checkName("request_id", p.RequestID, maxRequestID), checkArg("shell", p.Shell)); err != nil {
		return nil, err
	}
	a := aboutCommand(sb.Info())
	run, err := sb.Run()
	if err == nil && p.Shell == "" {
		p.Shell, err = run.Shell(ctx)
	}
	if err != nil {
		return nil, translate(err, a)
	}
	made, err := s.cfg.Sessions.Create(ctx, run, p)
	if err != nil {
		return nil, noShell(err, p.Shell, a)
	}
	return wireSession(made.Info()), nil
}

// noShell translates why a shell could not be started.
func noShell(err error, shell string, a about) error {
	var exec *runtime.ExecError
	if errors.Is(err, session.ErrShell) {
		return invalid("shell", "%.100q is %v", shell, session.ErrShell)
	}
	if f := translate(err, a); !errors.As(err, &exec) || exec.Op != "exec" ||
		f.reason != ReasonCommandNotFound && f.reason != ReasonCommandNotExecutable {
		return f
	}
	return invalid("shell", "the sandbox has no %.100q: %v", shell, exec.Errno).with(keySandbox, a.sandbox)
}

// session returns a session that exists for the caller.
func (s *Server) session(ctx context.Context, id string) (*session.Session, error) {
	if id == "" {
		return nil, missing("session_id")
	}
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Sessions.Find(id)
	if err != nil || !s.mayUse(c, found.Info().Owner) {
		return nil, noSession(id)
	}
	sb, err := s.cfg.Sandboxes.Find(found.Info().Sandbox)
	if err != nil {
		return nil, noSession(id)
	}
	sb.Hold(ctx)
	return found, nil
}

func noSession(id string) *failure {
	return fail(codes.NotFound, ReasonSessionNotFound, "session %s does not exist", clip(id, maxName)).with(keySession, id)
}

// GetSession returns one session.
func (s *Server) GetSession(ctx context.Context, req *sandboxv1.GetSessionRequest) (*sandboxv1.Session, error) {
	found, err := s.session(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	return wireSession(found.Info()), nil
}

// ListSessions returns the sessions of a sandbox, oldest first, with those that
// have ended of late.
func (s *Server) ListSessions(ctx context.Context, req *sandboxv1.ListSessionsRequest) (*sandboxv1.ListSessionsResponse, error) {
	if _, err := s.find(ctx, req.GetSandboxId()); err != nil {
		return nil, err
	}
	resp := &sandboxv1.ListSessionsResponse{}
	for _, info := range s.cfg.Sessions.List(req.GetSandboxId()) {
		resp.Sessions = append(resp.Sessions, wireSession(info))
	}
	return resp, nil
}

// DestroySession ends a session and forgets it.
func (s *Server) DestroySession(ctx context.Context, req *sandboxv1.DestroySessionRequest) (*sandboxv1.Empty, error) {
	found, err := s.session(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Sessions.Destroy(ctx, found); err != nil {
		return nil, ofSessionCall(err, found)
	}
	return &sandboxv1.Empty{}, nil
}

// SessionExec runs a command in a session and returns its output.
func (s *Server) SessionExec(ctx context.Context, req *sandboxv1.SessionExecRequest) (*sandboxv1.ExecResult, error) {
	kept := s.keep(ctx, req.GetOutputLimit())
	defer kept.release()
	status, rules, err := s.sessionExec(ctx, req, kept.sink)
	return answer(result(status, rules, kept), err, req.GetAnswerTimeout())
}

// SessionExecStream runs a command in a session and sends its output as it
// comes.
func (s *Server) SessionExecStream(req *sandboxv1.SessionExecRequest, stream grpc.ServerStreamingServer[sandboxv1.ExecOutput]) error {
	out := &outputs{stream: stream}
	status, rules, err := s.sessionExec(stream.Context(), req, out.output)
	if err != nil {
		return err
	}
	return out.exit(status, rules)
}

// sessionExec runs a command in a session, and returns the rules that its
// denials refer to as well.
func (s *Server) sessionExec(ctx context.Context, req *sandboxv1.SessionExecRequest, sink sink) (status runtime.Status, rules []policy.Rule, err error) {
	found, c, err := s.sessionCommand(ctx, req)
	if err != nil {
		return status, nil, err
	}
	info := found.Sandbox().Info()
	release, err := s.commands.take(info.Owner, 1, s.cfg.Limits.Commands)
	if err != nil {
		return status, nil, err
	}
	defer release()
	grown := s.newcomers.arrive()
	defer grown()
	sink = s.newcomers.yielding(grown, sink)
	status, err = found.Exec(ctx, c, func(from session.Stream, b []byte) error {
		if from == session.Stderr {
			return sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR, b)
		}
		return sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, b)
	})
	if closed := (*session.ClosedError)(nil); errors.As(err, &closed) {
		return status, nil, ofSessionCall(err, found).with(keyCommand, c.Text)
	}
	// The client may be gone; what the command did stays done.
	cerr := found.Sandbox().Settle(context.WithoutCancel(ctx))
	switch {
	case err != nil:
		return status, nil, ofSessionCall(err, found).with(keyCommand, c.Text)
	case cerr != nil:
		return status, nil, translate(commitFailed(cerr, aboutSession(found)), about{}).with(keySession, found.Info().ID)
	}
	return status, info.Rules, nil
}

// sessionCommand checks a request.
func (s *Server) sessionCommand(ctx context.Context, req *sandboxv1.SessionExecRequest) (found *session.Session, c session.Command, err error) {
	if found, err = s.session(ctx, req.GetSessionId()); err != nil {
		return nil, c, err
	}
	c.Text = req.GetCommand()
	if c.Text == "" {
		return nil, c, missing("command")
	}
	if strings.IndexByte(c.Text, 0) >= 0 {
		return nil, c, invalid("command", "it holds a NUL byte")
	}
	if c.Timeout, err = duration("timeout", req.GetTimeout(), maxTimeout); err != nil {
		return nil, c, err
	}
	if err := checkOutputLimit(req.GetOutputLimit()); err != nil {
		return nil, c, err
	}
	c.Timeout = found.Sandbox().Info().Limits.TimeoutOf(c.Timeout)
	return found, c, nil
}

func aboutSession(s *session.Session) about { return about{sandbox: s.Info().Sandbox} }

// ofSessionCall translates an error of a call on a session.
func ofSessionCall(err error, s *session.Session) *failure {
	var timeout *session.TimeoutError
	f := translate(err, aboutSession(s))
	switch {
	case errors.Is(err, session.ErrNotFound):
		f = noSession(s.Info().ID)
	case errors.As(err, &timeout):
		f = fail(codes.DeadlineExceeded, ReasonCommandTimeout, "%v", timeout).
			with(keyTimeout, seconds(timeout.Timeout)).with(keySandbox, s.Info().Sandbox)
	}
	return f.with(keySession, s.Info().ID)
}

// ofSession translates the errors of sessions.
func ofSession(err error, _ about) *failure {
	var closed *session.ClosedError
	switch {
	case errors.As(err, &closed):
		return fail(codes.FailedPrecondition, ReasonSessionClosed, "%v", closed).with(keySession, closed.ID)
	case errors.Is(err, session.ErrStopped):
		return fail(codes.Unavailable, ReasonShuttingDown, "%v", err)
	case errors.Is(err, session.ErrSilent):
		return fail(codes.Internal, ReasonStartFailed, "cannot start the session: %v", err)
	}
	return nil
}

func wireSession(i session.Info) *sandboxv1.Session {
	w := &sandboxv1.Session{
		Id: i.ID, SandboxId: i.Sandbox, Status: sandboxv1.SessionStatus_SESSION_STATUS_ACTIVE, Shell: valid(i.Shell),
		CreatedAt: stamp(i.Created), ClosedAt: stamp(i.Closed), Pid: int32(i.PID),
		CloseReason: clip(i.Reason, maxMessage), IdleTimeout: durationpb.New(i.Idle),
	}
	if !i.Closed.IsZero() {
		w.Status = sandboxv1.SessionStatus_SESSION_STATUS_CLOSED
	}
	return w
}
