package api

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

func TestPeerIsWhoTheKernelSays(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, info, err := PeerCredentials{}.ServerHandshake(conn)
	if err != nil {
		t.Fatal(err)
	}
	c := info.(Caller)
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if c.UID != uint32(os.Getuid()) || c.GID != uint32(os.Getgid()) || c.PID != int32(os.Getpid()) || len(c.Groups) != len(groups) {
		t.Errorf("caller is %+v", c)
	}
}

func TestOnlyUnixSocketsHavePeers(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	if _, _, err := (PeerCredentials{}).ServerHandshake(a); err == nil {
		t.Error("a pipe was let in")
	}
}

func TestWhoMayUseWhat(t *testing.T) {
	admins := uint32(50)
	for name, tt := range map[string]struct {
		caller Caller
		admins *uint32
		want   bool
	}{
		"the owner":                  {Caller{UID: 7}, nil, true},
		"another":                    {Caller{UID: 8, GID: 50}, nil, false},
		"root":                       {Caller{UID: 0}, nil, true},
		"an admin":                   {Caller{UID: 8, GID: 50}, &admins, true},
		"an admin by a second group": {Caller{UID: 8, GID: 8, Groups: []uint32{1, 50}}, &admins, true},
		"no admin":                   {Caller{UID: 8, GID: 8, Groups: []uint32{1, 51}}, &admins, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{cfg: Config{AdminGroup: tt.admins}}
			if got := s.mayUse(tt.caller, 7); got != tt.want {
				t.Errorf("mayUse is %v", got)
			}
		})
	}
}

func TestSandboxRequests(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase("a")
	rules := []*sandboxv1.PermissionRule{{Pattern: "**/*", Permission: sandboxv1.Permission_PERMISSION_READ}}
	for name, tt := range map[string]struct {
		req    *sandboxv1.CreateSandboxRequest
		code   codes.Code
		reason string
	}{
		"no codebase":           {&sandboxv1.CreateSandboxRequest{}, codes.InvalidArgument, ReasonMissingField},
		"unknown codebase":      {&sandboxv1.CreateSandboxRequest{CodebaseId: "cb_no"}, codes.NotFound, ReasonCodebaseNotFound},
		"no level":              {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: []*sandboxv1.PermissionRule{{Pattern: "x"}}}, codes.InvalidArgument, ReasonInvalidRule},
		"bad pattern":           {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: append(rules, &sandboxv1.PermissionRule{Pattern: "../x", Permission: 1})}, codes.InvalidArgument, ReasonInvalidRule},
		"negative expiry":       {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, ExpiresIn: durationpb.New(-time.Second)}, codes.InvalidArgument, ReasonInvalidField},
		"negative memory":       {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Resources: &sandboxv1.ResourceLimits{MemoryBytes: -1}}, codes.InvalidArgument, ReasonInvalidField},
		"too little output":     {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Resources: &sandboxv1.ResourceLimits{OutputRate: 1}}, codes.InvalidArgument, ReasonInvalidField},
		"docker":                {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Runtime: sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER, Image: "python:3"}, codes.FailedPrecondition, ReasonRuntimeMissing},
		"no image":              {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Runtime: sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER}, codes.InvalidArgument, ReasonInvalidField},
		"a hostile image":       {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Runtime: sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER, Image: "../x"}, codes.InvalidArgument, ReasonInvalidField},
		"a runtime of tomorrow": {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Runtime: 9}, codes.FailedPrecondition, ReasonRuntimeMissing},
		"commit mode":           {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: 9}, codes.InvalidArgument, ReasonInvalidField},
		"an empty label":        {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Labels: map[string]string{"": "x"}}, codes.InvalidArgument, ReasonInvalidField},
		"a long label":          {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Labels: map[string]string{"a": strings.Repeat("x", 2000)}}, codes.InvalidArgument, ReasonInvalidField},
		"a long request":        {&sandboxv1.CreateSandboxRequest{CodebaseId: cb, RequestId: strings.Repeat("x", 200)}, codes.InvalidArgument, ReasonInvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.CreateSandbox(ctxOf(t), tt.req)
			wantError(t, err, tt.code, tt.reason)
		})
	}
	sb, err := f.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{
		CodebaseId: cb, Labels: map[string]string{"a": "b"}, ExpiresIn: durationpb.New(time.Hour),
		Resources: &sandboxv1.ResourceLimits{MemoryBytes: 1 << 30, CpuQuota: 50000, CpuShares: 10, PidsLimit: 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sb.GetCommitMode() != sandboxv1.CommitMode_COMMIT_MODE_ON_EXEC || len(sb.GetPermissions()) == 0 || sb.GetPermissions()[0].GetPreset() != defaultPreset ||
		len(sb.GetSnapshot()) != 64 || sb.GetResources().GetPidsLimit() != 20 || sb.GetRuntime() != sandboxv1.RuntimeType_RUNTIME_TYPE_BWRAP {
		t.Errorf("sandbox is %v", sb)
	}
	if left := time.Until(sb.GetExpiresAt().AsTime()); left < 59*time.Minute || left > time.Hour {
		t.Errorf("it expires in %v", left)
	}
}

func TestRequestsWithoutAnID(t *testing.T) {
	f := newFixture(t)
	ctx := ctxOf(t)
	for name, call := range map[string]func(id string) error{
		"get": func(id string) error {
			_, err := f.GetSandbox(ctx, &sandboxv1.GetSandboxRequest{SandboxId: id})
			return err
		},
		"start": func(id string) error {
			_, err := f.StartSandbox(ctx, &sandboxv1.StartSandboxRequest{SandboxId: id})
			return err
		},
		"stop": func(id string) error {
			_, err := f.StopSandbox(ctx, &sandboxv1.StopSandboxRequest{SandboxId: id})
			return err
		},
		"destroy": func(id string) error {
			_, err := f.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: id})
			return err
		},
		"exec": func(id string) error {
			_, err := f.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: id, Command: "true"})
			return err
		},
		"diff":   func(id string) error { _, err := f.Diff(ctx, &sandboxv1.DiffRequest{SandboxId: id}); return err },
		"commit": func(id string) error { _, err := f.Commit(ctx, &sandboxv1.CommitRequest{SandboxId: id}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, call(""), codes.InvalidArgument, ReasonMissingField)
			if meta := wantError(t, call("sb_no"), codes.NotFound, ReasonSandboxNotFound); meta["sandbox_id"] != "sb_no" {
				t.Errorf("metadata is %v", meta)
			}
		})
	}
}

func TestPages(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase("a")
	var want []string
	for i := range 7 {
		sb, err := f.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Labels: map[string]string{"even": fmt.Sprint(i%2 == 0)}})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			want = append(want, sb.GetId())
		}
	}
	var got []string
	req := &sandboxv1.ListSandboxesRequest{PageSize: 3, Labels: map[string]string{"even": "true"}}
	for {
		page, err := f.ListSandboxes(ctxOf(t), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, sb := range page.GetSandboxes() {
			got = append(got, sb.GetId())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("list is %v, want %v", got, want)
	}
	for _, token := range []string{"x", "AAAA", "MTI", pageToken(time.Now(), "")} {
		_, err := f.ListSandboxes(ctxOf(t), &sandboxv1.ListSandboxesRequest{PageToken: token})
		wantError(t, err, codes.InvalidArgument, ReasonInvalidPageToken)
	}
	_, err := f.ListSandboxes(ctxOf(t), &sandboxv1.ListSandboxesRequest{PageSize: -1})
	wantError(t, err, codes.InvalidArgument, ReasonInvalidField)
	_, err = f.codebases.ListCodebases(ctxOf(t), &sandboxv1.ListCodebasesRequest{PageToken: "zz"})
	wantError(t, err, codes.InvalidArgument, ReasonInvalidPageToken)
	list, err := f.codebases.ListCodebases(ctxOf(t), &sandboxv1.ListCodebasesRequest{})
	if err != nil || len(list.GetCodebases()) != 1 {
		t.Errorf("codebases are %v, %v", list, err)
	}
}

func TestLimitIsNamed(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase("a")
	var err error
	for err == nil {
		_, err = f.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb})
	}
	meta := wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded)
	if meta["resource"] != sandbox.LimitSandboxes || meta["limit"] != "20" {
		t.Errorf("metadata is %v", meta)
	}
}

func TestInfoAndHealth(t *testing.T) {
	f := newFixture(t)
	f.sandbox()
	info, err := f.GetInfo(ctxOf(t), &sandboxv1.GetInfoRequest{})
	if err != nil || info.GetVersion() != "test" || info.GetKernel() == "" || info.GetSandboxes() != 1 {
		t.Errorf("info is %v, %v", info, err)
	}
	health, err := healthv1.NewHealthClient(f.conn).Check(ctxOf(t), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", health, err)
	}
}

func TestPanicIsAnErrorOfOneCall(t *testing.T) {
	f := newFixture(t)
	f.server.cfg.Ingester = nil
	stream, err := f.codebases.IngestDirectory(ctxOf(t), &sandboxv1.IngestDirectoryRequest{CodebaseId: f.codebase(), Directory: []byte("/")})
	if err == nil {
		_, err = stream.Recv()
	}
	wantError(t, err, codes.Internal, ReasonInternal)
	f.codebase()
}

func TestErrorsOfGRPCHaveDetails(t *testing.T) {
	f := newFixture(t)
	err := f.conn.Invoke(ctxOf(t), "/sandbox.v1.SandboxService/Nope", &sandboxv1.Empty{}, &sandboxv1.Empty{})
	wantError(t, err, codes.Unimplemented, ReasonNotImplemented)
	for code, reason := range map[codes.Code]string{
		codes.Canceled: ReasonCancelled, codes.DeadlineExceeded: ReasonCallTimeout, codes.ResourceExhausted: ReasonLimitExceeded, codes.Unknown: ReasonInternal,
	} {
		for _, err := range []error{status.Error(code, "x"), translate(status.Error(code, "x"), about{})} {
			wantError(t, detailed(err), code, reason)
		}
	}
}

// A worker that is too slow is no caller whose time is up.
func TestStartsThatTakeTooLongHaveFailed(t *testing.T) {
	err := &sandbox.StartError{ID: "sb_1", Err: fmt.Errorf("worker does not finish its set-up: %w", context.DeadlineExceeded)}
	wantError(t, detailed(err), codes.Internal, ReasonStartFailed)
	wantError(t, detailed(&sandbox.StartError{Err: unix.ENOSPC}), codes.ResourceExhausted, ReasonDiskFull)
	wantError(t, detailed(&sandbox.StartError{Err: &sandbox.LossError{}}), codes.FailedPrecondition, ReasonLossNotAccepted)
}

func TestErrorsFitIntoTrailers(t *testing.T) {
	long := strings.Repeat("\xff", 1<<20)
	f := fail(codes.Internal, ReasonInternal, "%s", long)
	for _, key := range []string{"a", "b", "c"} {
		f.with(key, long)
	}
	st := status.Convert(f)
	if size := len(fmt.Sprint(st.Proto())); size > 8<<10 {
		t.Errorf("the error has %d bytes", size)
	}
	if got := clip("añbcd", 5); got != "a..." {
		t.Errorf("clip is %q", got)
	}
}
