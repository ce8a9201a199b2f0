package api

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Exec runs a command and returns its output.
func (s *Server) Exec(ctx context.Context, req *sandboxv1.ExecRequest) (*sandboxv1.ExecResult, error) {
	if req.GetPty() != nil {
		return nil, invalid("pty", "Exec gives no terminal; use ExecStream or ExecInteractive")
	}
	cmd, err := s.command(ctx, req)
	if err != nil {
		return nil, err
	}
	j, err := s.begin(ctx, cmd, false)
	if err != nil {
		return nil, err
	}
	j.feedAll()
	kept := s.keep(ctx, req.GetOutputLimit())
	defer kept.release()
	status, err := j.run(ctx, kept.sink)
	err = s.settle(ctx, cmd, status, err)
	return answer(result(status, cmd.rules(), kept), err, req.GetAnswerTimeout())
}

// answer is the result, or the error; a client that asked for it gets a timeout
// as a result, for an error has no room for output.
func answer(res *sandboxv1.ExecResult, err error, answerTimeout bool) (*sandboxv1.ExecResult, error) {
	if err == nil {
		return res, nil
	}
	if f := (*failure)(nil); answerTimeout && errors.As(err, &f) && f.reason == ReasonCommandTimeout {
		res.TimedOut = f.meta
		return res, nil
	}
	return nil, err
}

func checkOutputLimit(asked int64) error {
	if asked < 0 {
		return invalid("output_limit", "%d is negative; leave it out for the daemon's default", asked)
	}
	return nil
}

func result(status runtime.Status, rules []policy.Rule, kept *kept) *sandboxv1.ExecResult {
	kept.end()
	res := &sandboxv1.ExecResult{
		ExitCode: int32(status.Code), Duration: durationpb.New(status.Duration),
		StdoutTruncated: kept.stdout.truncated, StderrTruncated: kept.stderr.truncated,
		Signal: int32(status.Signal), OomKilled: status.OOM,
		Denials: wireDenials(status.Denials, rules), DenialsOmitted: int64(status.More),
	}
	res.Stdout, res.StdoutBytes = text(kept.stdout.data)
	res.Stderr, res.StderrBytes = text(kept.stderr.data)
	return res
}

// settle commits what a command changed, if its sandbox is to, and says what
// the command's end is for the client: nil, or an error.
func (s *Server) settle(ctx context.Context, cmd command, status runtime.Status, err error) error {
	// The client may be gone; what the command did stays done.
	cerr := cmd.run.Sandbox().Settle(context.WithoutCancel(ctx))
	switch {
	case err != nil:
		return translate(err, cmd.about()).with(keyCommand, cmd.text)
	case status.TimedOut:
		return cmd.timedOut()
	case cerr != nil:
		return commitFailed(cerr, cmd.about())
	}
	return nil
}

// outputs is a stream of ExecOutput that several goroutines write to.
type outputs struct {
	mu     sync.Mutex // above stream
	stream interface {
		Send(*sandboxv1.ExecOutput) error
	}
}

func (o *outputs) send(m *sandboxv1.ExecOutput) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Send(m)
}

// output is a sink. Send returns when the transport has room, so a client that
// does not read stops the pump, the pipe and the command.
func (o *outputs) output(typ sandboxv1.ExecOutput_OutputType, b []byte) error {
	return o.send(&sandboxv1.ExecOutput{Type: typ, Data: b})
}

func (o *outputs) exit(status runtime.Status, rules []policy.Rule) error {
	return o.send(&sandboxv1.ExecOutput{Exit: wireExit(status, rules)})
}

// ExecStream runs a command and sends its output as it comes.
func (s *Server) ExecStream(req *sandboxv1.ExecRequest, stream grpc.ServerStreamingServer[sandboxv1.ExecOutput]) error {
	ctx := stream.Context()
	cmd, err := s.command(ctx, req)
	if err != nil {
		return err
	}
	j, err := s.begin(ctx, cmd, false)
	if err != nil {
		return err
	}
	j.feedAll()
	out := &outputs{stream: stream}
	status, err := j.run(ctx, out.output)
	if err := s.settle(ctx, cmd, status, err); err != nil {
		return err
	}
	return out.exit(status, cmd.rules())
}
