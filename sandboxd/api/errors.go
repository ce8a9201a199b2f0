package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// Errors travel in HTTP/2 trailers, which clients cap at 8 KiB.
const (
	maxMessage  = 1024
	maxMetadata = 1024
)

// failure is an error on its way to the wire.
type failure struct {
	code    codes.Code
	reason  string
	message string
	meta    map[string]string
}

func fail(code codes.Code, reason, format string, args ...any) *failure {
	return &failure{code: code, reason: reason, message: fmt.Sprintf(format, args...)}
}

// with adds metadata; an empty value is left out, and what is there stays.
func (f *failure) with(key, value string) *failure {
	if value == "" {
		return f
	}
	if f.meta == nil {
		f.meta = make(map[string]string)
	}
	if _, ok := f.meta[key]; !ok {
		f.meta[key] = clip(value, maxMetadata)
	}
	return f
}

func (f *failure) Error() string { return f.message }

// GRPCStatus is what gRPC sends.
func (f *failure) GRPCStatus() *status.Status {
	st := status.New(f.code, clip(f.message, maxMessage))
	detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: f.reason, Domain: Domain, Metadata: f.meta})
	if err != nil {
		return st
	}
	return detailed
}

// clip makes a string fit for the wire: valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const ellipsis = "..."
	s = s[:n-len(ellipsis)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + ellipsis
}

func missing(field string) *failure {
	return fail(codes.InvalidArgument, ReasonMissingField, "%s is missing", field).with(keyField, field)
}

func invalid(field, format string, args ...any) *failure {
	return fail(codes.InvalidArgument, ReasonInvalidField, "%s: "+format, append([]any{field}, args...)...).with(keyField, field)
}

func overLimit(resource string, limit int64, format string, args ...any) *failure {
	return fail(codes.ResourceExhausted, ReasonLimitExceeded, format, args...).
		with(keyResource, resource).with(keyLimit, strconv.FormatInt(limit, 10))
}

func noSandbox(id string) *failure {
	return fail(codes.NotFound, ReasonSandboxNotFound, "sandbox %s does not exist", id).with(keySandbox, id)
}

func noCodebase(id string) *failure {
	return fail(codes.NotFound, ReasonCodebaseNotFound, "codebase %s does not exist", id).with(keyCodebase, id)
}

// about is what a call was about, for the metadata of whatever goes wrong.
type about struct {
	sandbox, codebase string
	pids              int64 // how many the sandbox may have, for a command
}

// aboutCommand is about one that runs in a sandbox.
func aboutCommand(info sandbox.Info) about {
	return about{sandbox: info.ID, pids: cmp.Or(info.Limits.Pids, runtime.DefaultPids)}
}

// translate turns any error into a failure. What it does not know is INTERNAL.
func translate(err error, a about) *failure {
	f := known(err, a)
	if f == nil {
		f = fail(codes.Internal, ReasonInternal, "%v", err)
	}
	return f.with(keySandbox, a.sandbox).with(keyCodebase, a.codebase)
}

func known(err error, a about) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	for _, try := range []func(error, about) *failure{
		ofGRPC, ofRuntime, ofStart, ofContext, ofSession, ofLoss, ofSandbox, ofDelta, ofCommand, ofPolicy, ofStore, ofSystem,
	} {
		if f := try(err, a); f != nil {
			return f
		}
	}
	return nil
}

func ofContext(err error, _ about) *failure {
	switch {
	case errors.Is(err, context.Canceled):
		return fail(codes.Canceled, ReasonCancelled, "the call was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return fail(codes.DeadlineExceeded, ReasonCallTimeout, "the call took too long")
	}
	return nil
}

// ofStart is asked before ofContext: a start that failed has run into a timeout of
// its own, not into that of the caller.
func ofStart(err error, a about) *failure {
	var start *sandbox.StartError
	if !errors.As(err, &start) {
		return nil
	}
	for _, try := range []func(error, about) *failure{ofLoss, ofSystem} {
		if f := try(err, a); f != nil {
			return f
		}
	}
	return fail(codes.Internal, ReasonStartFailed, "%v", start)
}

func ofLoss(err error, _ about) *failure {
	var loss *sandbox.LossError
	if !errors.As(err, &loss) {
		return nil
	}
	return fail(codes.FailedPrecondition, ReasonLossNotAccepted, "%v", loss).
		with(keyLoss, loss.Name).with(keyConsequence, loss.Consequence).with(keyFix, loss.Fix)
}

func ofRuntime(err error, _ about) *failure {
	var unavailable *runtime.UnavailableError
	var image *runtime.ImageError
	switch {
	case errors.As(err, &unavailable):
		return fail(codes.FailedPrecondition, ReasonRuntimeMissing, "%v", unavailable).
			with(keyRuntime, wireRuntime(unavailable.Runtime).String())
	case errors.As(err, &image):
		return fail(codes.FailedPrecondition, ReasonImageMissing, "%v", image).with(keyImage, image.Image)
	}
	return nil
}

func ofSandbox(err error, a about) *failure {
	var state *sandbox.StateError
	var limit *sandbox.LimitError
	var conflict *sandbox.ConflictError
	switch {
	case errors.Is(err, sandbox.ErrNotFound):
		return noSandbox(a.sandbox)
	case errors.Is(err, sandbox.ErrClosed):
		return fail(codes.Unavailable, ReasonShuttingDown, "%v", err)
	case errors.As(err, &state):
		return ofState(state)
	case errors.As(err, &limit):
		return overLimit(limit.Name, int64(limit.Limit), "%v", limit)
	case errors.As(err, &conflict):
		return ofConflict(conflict)
	case errors.Is(err, runtime.ErrEnded):
		return fail(codes.FailedPrecondition, ReasonSandboxNotRunning, "%v", err).with(keyStatus, sandbox.Stopped.String())
	case errors.Is(err, runtime.ErrNoTerminal):
		return overLimit("terminals-per-sandbox", worker.MaxTerminals, "%v", err)
	case errors.Is(err, runtime.ErrTooManyExecs):
		return overLimit("commands-per-sandbox", runtime.MaxCalls, "%v", err)
	}
	return nil
}

func ofState(e *sandbox.StateError) *failure {
	reason := ReasonSandboxNotRunning
	if e.Status == sandbox.Running {
		reason = ReasonSandboxRunning
	}
	return fail(codes.FailedPrecondition, reason, "%v", e).with(keySandbox, e.ID).with(keyStatus, e.Status.String())
}

func ofConflict(e *sandbox.ConflictError) *failure {
	return fail(codes.Aborted, ReasonCommitConflict, "%v", e).
		with(keyPaths, jsonPaths(e.Paths)).with(keyCount, strconv.Itoa(len(e.Paths)))
}

func ofCommand(err error, a about) *failure {
	var e *runtime.ExecError
	if !errors.As(err, &e) {
		return nil
	}
	if e.Op == "chdir" {
		return fail(codes.InvalidArgument, ReasonWorkdirNotFound, "cannot enter the working directory %s: %v", e.Path, e.Errno).with(keyPath, e.Path)
	}
	switch e.Errno {
	case unix.ENOENT, unix.ENOTDIR:
		return fail(codes.NotFound, ReasonCommandNotFound, "%v", e).with(keyCommand, e.Path)
	case unix.EACCES, unix.EPERM, unix.ENOEXEC, unix.EISDIR, unix.ELOOP:
		return fail(codes.PermissionDenied, ReasonCommandNotExecutable, "%v", e).with(keyCommand, e.Path)
	case unix.E2BIG:
		return fail(codes.InvalidArgument, ReasonCommandTooLong, "command and environment are too long: %v", e).with(keyCommand, e.Path)
	case unix.EAGAIN, unix.ENOMEM:
		return overLimit("pids", a.pids, "the sandbox has no room for another process: %v", e)
	}
	return nil
}

func ofPolicy(err error, _ about) *failure {
	var rule *policy.RuleError
	var plan *sandbox.PlanError
	switch {
	case errors.As(err, &rule):
		return fail(codes.InvalidArgument, ReasonInvalidRule, "%v", rule).
			with(keyRule, rule.Pattern).with(keyIndex, strconv.Itoa(rule.Index))
	case errors.As(err, &plan):
		return fail(codes.InvalidArgument, ReasonInvalidPolicy, "%v", plan)
	}
	return nil
}

func ofSystem(err error, _ about) *failure {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fail(codes.ResourceExhausted, ReasonDiskFull, "%v", err).with(keyResource, "disk")
	}
	return nil
}
