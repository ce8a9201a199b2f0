package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// fakeDaemon is a daemon without sandboxes: it runs commands as they are, in
// the directory that was ingested. What it was told, and what is left, can be
// asked for.
type fakeDaemon struct {
	sandboxv1.UnimplementedSandboxServiceServer
	sandboxv1.UnimplementedCodebaseServiceServer
	sandboxv1.UnimplementedProcessServiceServer
	server *grpc.Server

	mu        sync.Mutex
	next      int
	codebases map[string]string // id to directory
	kept      []string          // ids of codebases
	sandboxes map[string]*sandboxv1.Sandbox
	ingest    *sandboxv1.IngestDirectoryRequest
	changes   []*sandboxv1.Change
	processes map[string]*fakeProcess
}

func startFake(socket string) (*fakeDaemon, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	f := &fakeDaemon{
		server:    grpc.NewServer(),
		codebases: map[string]string{},
		sandboxes: map[string]*sandboxv1.Sandbox{},
		processes: map[string]*fakeProcess{},
		changes: []*sandboxv1.Change{
			{Path: []byte("/a\x1b[31m\xff"), Operation: sandboxv1.Change_OPERATION_ADDED, Kind: sandboxv1.TreeEntry_KIND_FILE, Size: 5},
			{Path: []byte("/secret"), Operation: sandboxv1.Change_OPERATION_MODIFIED, Kind: sandboxv1.TreeEntry_KIND_FILE, Shadowed: true},
			{
				Path: []byte("/src"), Operation: sandboxv1.Change_OPERATION_DELETED, Kind: sandboxv1.TreeEntry_KIND_DIRECTORY, Refused: true,
				Rule: &sandboxv1.RuleRef{Index: 2, Pattern: "/src/**", Permission: sandboxv1.Permission_PERMISSION_READ, Priority: 7},
			},
		},
	}
	sandboxv1.RegisterSandboxServiceServer(f.server, f)
	sandboxv1.RegisterCodebaseServiceServer(f.server, f)
	sandboxv1.RegisterProcessServiceServer(f.server, f)
	go func() { _ = f.server.Serve(l) }()
	return f, nil
}

func (f *fakeDaemon) stop() { f.server.Stop() }

// refuse is an error as the daemon makes them.
func refuse(code codes.Code, reason, format string, args ...any) error {
	st, err := status.Newf(code, format, args...).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "agentfense"})
	if err != nil {
		return err
	}
	return st.Err()
}

func (f *fakeDaemon) id(kind string) string {
	f.next++
	return fmt.Sprintf("%s_%d", kind, f.next)
}

func (f *fakeDaemon) CreateCodebase(_ context.Context, req *sandboxv1.CreateCodebaseRequest) (*sandboxv1.Codebase, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.GetIdleTimeout() == nil {
		return nil, refuse(codes.InvalidArgument, "TEST", "want a codebase that goes when nobody uses it")
	}
	id := f.id("cb")
	f.codebases[id] = ""
	return &sandboxv1.Codebase{Id: id, Name: req.GetName()}, nil
}

func (f *fakeDaemon) ListCodebases(_ context.Context, req *sandboxv1.ListCodebasesRequest) (*sandboxv1.ListCodebasesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	res := &sandboxv1.ListCodebasesResponse{}
	if req.GetPageToken() == "" && len(f.codebases) > 0 {
		res.NextPageToken = "rest" // an empty page, then the rest
		return res, nil
	}
	for id := range f.codebases {
		res.Codebases = append(res.Codebases, &sandboxv1.Codebase{Id: id, Name: "n\nm", Size: 2048, FileCount: 3, UpdatedAt: timestamppb.Now()})
	}
	return res, nil
}

func (f *fakeDaemon) KeepCodebase(_ context.Context, req *sandboxv1.KeepCodebaseRequest) (*sandboxv1.Codebase, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, req.GetCodebaseId())
	return &sandboxv1.Codebase{Id: req.GetCodebaseId()}, nil
}

func (f *fakeDaemon) DeleteCodebase(_ context.Context, req *sandboxv1.DeleteCodebaseRequest) (*sandboxv1.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.codebases[req.GetCodebaseId()]; !ok {
		return nil, refuse(codes.NotFound, "CODEBASE_NOT_FOUND", "no codebase %q", req.GetCodebaseId())
	}
	delete(f.codebases, req.GetCodebaseId())
	return &sandboxv1.Empty{}, nil
}

func (f *fakeDaemon) IngestDirectory(req *sandboxv1.IngestDirectoryRequest, stream grpc.ServerStreamingServer[sandboxv1.IngestProgress]) error {
	f.mu.Lock()
	f.ingest = req
	f.codebases[req.GetCodebaseId()] = string(req.GetDirectory())
	f.mu.Unlock()
	if _, err := os.Stat(string(req.GetDirectory()) + "/slow"); err == nil {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	if strings.HasSuffix(string(req.GetDirectory()), "/long") {
		for begun := time.Now(); time.Since(begun) < 2*progressAfter; time.Sleep(10 * time.Millisecond) {
			if err := stream.Send(&sandboxv1.IngestProgress{Files: 1234, BytesRead: 2048}); err != nil {
				return err
			}
		}
	}
	if err := stream.Send(&sandboxv1.IngestProgress{Files: 1}); err != nil {
		return err
	}
	return stream.Send(&sandboxv1.IngestProgress{Result: &sandboxv1.IngestResult{
		Files: 3, Directories: 2, Bytes: 4096,
		Skipped: []*sandboxv1.SkippedEntries{{Reason: sandboxv1.SkippedEntries_REASON_HIDDEN, Count: 2, Paths: [][]byte{[]byte(".env"), []byte("a\nb")}}},
	}})
}

func (f *fakeDaemon) CreateSandbox(_ context.Context, req *sandboxv1.CreateSandboxRequest) (*sandboxv1.Sandbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.GetCommitMode() != sandboxv1.CommitMode_COMMIT_MODE_MANUAL || !req.GetStart() {
		return nil, refuse(codes.InvalidArgument, "TEST", "want a started sandbox in manual commit mode")
	}
	if req.GetResources().GetPidsLimit() == 1 {
		return nil, refuse(codes.ResourceExhausted, "LIMIT_EXCEEDED", "too many sandboxes")
	}
	sb := &sandboxv1.Sandbox{
		Id: f.id("sb"), CodebaseId: req.GetCodebaseId(), Permissions: req.GetPermissions(), Resources: req.GetResources(),
		Labels: req.GetLabels(),
		Status: sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING, CommitMode: req.GetCommitMode(), AcceptedLosses: req.GetAcceptLosses(), Strict: req.GetStrict(), CreatedAt: timestamppb.Now(),
		IdleTimeout: req.GetIdleTimeout(), ExpiresAt: expiry(req),
	}
	f.sandboxes[sb.GetId()] = sb
	return sb, nil
}

func (f *fakeDaemon) ListSandboxes(context.Context, *sandboxv1.ListSandboxesRequest) (*sandboxv1.ListSandboxesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	res := &sandboxv1.ListSandboxesResponse{}
	for _, sb := range f.sandboxes {
		res.Sandboxes = append(res.Sandboxes, sb)
	}
	return res, nil
}

func (f *fakeDaemon) DestroySandbox(_ context.Context, req *sandboxv1.DestroySandboxRequest) (*sandboxv1.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(req.GetSandboxId()); err != nil {
		return nil, err
	}
	delete(f.sandboxes, req.GetSandboxId())
	return &sandboxv1.Empty{}, nil
}

func (f *fakeDaemon) find(id string) (*sandboxv1.Sandbox, error) {
	if sb, ok := f.sandboxes[id]; ok {
		return sb, nil
	}
	return nil, refuse(codes.NotFound, "SANDBOX_NOT_FOUND", "no sandbox %q", id)
}

func (f *fakeDaemon) setStatus(id string, to sandboxv1.SandboxStatus) (*sandboxv1.Sandbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sb, err := f.find(id)
	if err == nil {
		sb.Status = to
	}
	return sb, err
}

func (f *fakeDaemon) StartSandbox(_ context.Context, req *sandboxv1.StartSandboxRequest) (*sandboxv1.Sandbox, error) {
	return f.setStatus(req.GetSandboxId(), sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING)
}

func (f *fakeDaemon) StopSandbox(_ context.Context, req *sandboxv1.StopSandboxRequest) (*sandboxv1.Sandbox, error) {
	return f.setStatus(req.GetSandboxId(), sandboxv1.SandboxStatus_SANDBOX_STATUS_STOPPED)
}

func (f *fakeDaemon) Diff(context.Context, *sandboxv1.DiffRequest) (*sandboxv1.DiffResponse, error) {
	return &sandboxv1.DiffResponse{Changes: f.changes}, nil
}

func (f *fakeDaemon) Commit(_ context.Context, req *sandboxv1.CommitRequest) (*sandboxv1.CommitResponse, error) {
	return &sandboxv1.CommitResponse{Head: fmt.Sprintf("%q", req.GetPaths()), Applied: f.changes[:1], Refused: f.changes[1:]}, nil
}

func (f *fakeDaemon) GetInfo(context.Context, *sandboxv1.GetInfoRequest) (*sandboxv1.Info, error) {
	return &sandboxv1.Info{Version: "v1", Kernel: "6.1", MaxOutputRate: 3 << 20, Losses: []*sandboxv1.Loss{{Name: "landlock-tcp", Consequence: "c", Fix: "f"}}}, nil
}

// output is a stream as a writer.
type fakeOutput struct {
	mu     *sync.Mutex
	stream grpc.BidiStreamingServer[sandboxv1.ExecInput, sandboxv1.ExecOutput]
	kind   sandboxv1.ExecOutput_OutputType
}

func (o fakeOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(p), o.stream.Send(&sandboxv1.ExecOutput{Type: o.kind, Data: bytes.Clone(p)})
}

func (f *fakeDaemon) ExecInteractive(stream grpc.BidiStreamingServer[sandboxv1.ExecInput, sandboxv1.ExecOutput]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	f.mu.Lock()
	sb, err := f.find(start.GetSandboxId())
	dir := f.codebases[sb.GetCodebaseId()]
	f.mu.Unlock()
	if err != nil {
		return err
	}
	var argv []string
	for _, a := range start.GetArgv() {
		argv = append(argv, string(a))
	}
	var mu sync.Mutex
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	for k, v := range start.GetEnv() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if start.GetPty() != nil {
		return serveTerminal(stream, cmd, start.GetPty())
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout = fakeOutput{&mu, stream, sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT}
	cmd.Stderr = fakeOutput{&mu, stream, sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR}
	return f.serve(stream, &mu, cmd, start.GetTimeout().AsDuration())
}

func (f *fakeDaemon) serve(stream grpc.BidiStreamingServer[sandboxv1.ExecInput, sandboxv1.ExecOutput], mu *sync.Mutex, cmd *exec.Cmd, timeout time.Duration) error {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return refuse(codes.FailedPrecondition, "COMMAND_NOT_EXECUTABLE", "%v", err)
		}
		return refuse(codes.NotFound, "COMMAND_NOT_FOUND", "%v", err)
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	stop := context.AfterFunc(stream.Context(), kill)
	defer stop()
	timedOut := make(chan struct{})
	if timeout > 0 {
		defer time.AfterFunc(timeout, func() { close(timedOut); kill() }).Stop()
	}
	go func() {
		for {
			in, err := stream.Recv()
			if err != nil {
				return
			}
			switch step := in.GetStep().(type) {
			case *sandboxv1.ExecInput_Stdin:
				_, _ = stdin.Write(step.Stdin)
			case *sandboxv1.ExecInput_CloseStdin:
				_ = stdin.Close()
			case *sandboxv1.ExecInput_Signal:
				_ = syscall.Kill(-cmd.Process.Pid, syscall.Signal(step.Signal))
			}
		}
	}()
	_ = cmd.Wait()
	select {
	case <-timedOut:
		return refuse(codes.DeadlineExceeded, "COMMAND_TIMEOUT", "the command ran too long")
	default:
	}
	mu.Lock()
	defer mu.Unlock()
	return stream.Send(&sandboxv1.ExecOutput{Exit: exitOf(cmd)})
}

func exitOf(cmd *exec.Cmd) *sandboxv1.ExecExit {
	exit := &sandboxv1.ExecExit{ExitCode: int32(cmd.ProcessState.ExitCode())}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		exit.Signal = int32(ws.Signal())
		exit.ExitCode = codeSignalBase + exit.Signal
	}
	return exit
}

// expiry is when a sandbox ends by itself, or nil.
func expiry(req *sandboxv1.CreateSandboxRequest) *timestamppb.Timestamp {
	if req.GetExpiresIn() == nil {
		return nil
	}
	return timestamppb.New(time.Unix(0, 0).Add(req.GetExpiresIn().AsDuration()))
}
