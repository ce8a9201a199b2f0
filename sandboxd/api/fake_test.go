package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/ingest"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/session"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostRuntime runs commands of the test as plain processes of the host, in a
// temporary directory that stands for /workspace. It confines nothing.
type hostRuntime struct {
	dir string
	// execFails is what Exec returns instead.
	execFails error
	// specs are the commands that were given.
	mu    sync.Mutex
	specs []runtime.Command
}

func (r *hostRuntime) Start(context.Context, runtime.Spec) (runtime.Instance, error) {
	return &hostInstance{r: r, done: make(chan struct{})}, nil
}

func (r *hostRuntime) Close() error { return nil }

type hostInstance struct {
	r    *hostRuntime
	once sync.Once
	done chan struct{}

	mu    sync.Mutex
	procs []*hostProcess
	all   sync.WaitGroup
}

func (i *hostInstance) Exec(ctx context.Context, c runtime.Command) (runtime.Process, error) {
	i.r.mu.Lock()
	i.r.specs = append(i.r.specs, c)
	i.r.mu.Unlock()
	if i.r.execFails != nil {
		return nil, i.r.execFails
	}
	p := &hostProcess{cmd: exec.CommandContext(context.WithoutCancel(ctx), c.Argv[0], c.Argv[1:]...), exited: make(chan struct{}), timeout: c.Timeout}
	p.cmd.Env, p.cmd.Dir = c.Env, i.r.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.Terminal != nil {
		term, near, err := newTerminal(*c.Terminal)
		if err != nil {
			return nil, err
		}
		defer near.Close()
		p.term = term
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = near, near, near
	}
	for to, from := range map[*io.Writer]*os.File{&p.cmd.Stdout: c.Stdout, &p.cmd.Stderr: c.Stderr} {
		if from != nil {
			*to = from
		}
	}
	if c.Stdin != nil {
		p.cmd.Stdin = c.Stdin
	}
	if err := p.cmd.Start(); err != nil {
		return nil, &runtime.ExecError{Op: "exec", Path: c.Argv[0], Errno: syscall.ENOENT}
	}
	i.mu.Lock()
	i.procs = append(i.procs, p)
	i.mu.Unlock()
	i.all.Go(p.wait)
	return p, nil
}

func (i *hostInstance) path(p string) string { return filepath.Join(i.r.dir, p) }

func (i *hostInstance) Open(_ context.Context, p string, flags int, mode uint32) (*os.File, error) {
	if p == "/bin/bash" {
		return os.Open(os.DevNull)
	}
	return os.OpenFile(i.path(p), flags, os.FileMode(mode))
}

func (i *hostInstance) List(_ context.Context, p string, _ bool) ([]runtime.FileInfo, error) {
	entries, err := os.ReadDir(i.path(p))
	var list []runtime.FileInfo
	for _, e := range entries {
		list = append(list, runtime.FileInfo{Path: e.Name()})
	}
	return list, err
}

func (i *hostInstance) MakeDirs(_ context.Context, p string, mode uint32) error {
	return os.MkdirAll(i.path(p), os.FileMode(mode))
}

func (i *hostInstance) Done() <-chan struct{} { return i.done }
func (i *hostInstance) Reason() error         { return nil }

func (i *hostInstance) Close(context.Context) error {
	i.once.Do(func() {
		i.mu.Lock()
		for _, p := range i.procs {
			p.Kill()
		}
		i.mu.Unlock()
		i.all.Wait()
		close(i.done)
	})
	return nil
}

type hostProcess struct {
	term    runtime.Terminal
	cmd     *exec.Cmd
	timeout time.Duration
	exited  chan struct{}
	status  runtime.Status
}

func (p *hostProcess) wait() {
	defer close(p.exited)
	var late atomic.Bool
	if p.timeout > 0 {
		timer := time.AfterFunc(p.timeout, func() { late.Store(true); p.Kill() })
		defer timer.Stop()
	}
	_ = p.cmd.Wait()
	ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	p.status = runtime.Status{Code: ws.ExitStatus(), TimedOut: late.Load()}
	if ws.Signaled() {
		p.status.Code, p.status.Signal = 128+int(ws.Signal()), ws.Signal()
	}
}

func (p *hostProcess) Terminal() runtime.Terminal      { return p.term }
func (p *hostProcess) PID() int                        { return p.cmd.Process.Pid }
func (p *hostProcess) Signal(sig syscall.Signal) error { return syscall.Kill(-p.PID(), sig) }
func (p *hostProcess) Kill() error                     { return p.Signal(syscall.SIGKILL) }

func (p *hostProcess) Wait(ctx context.Context) (runtime.Status, error) {
	select {
	case <-p.exited:
		return p.status, nil
	case <-ctx.Done():
		return runtime.Status{}, ctx.Err()
	}
}

type noViews struct{}

func (noViews) Acquire(context.Context, tree.Digest, *policy.Policy, uint32) (sandbox.View, error) {
	return noView{}, nil
}

type noView struct{}

func (noView) Path() string          { return "" }
func (noView) Done() <-chan struct{} { return nil }
func (noView) Release()              {}

type ownUID struct{ *store.Store }

func (ownUID) SandboxUID(uint32) (uint32, error) { return uint32(os.Getuid()), nil }

// fixture is a server on a unix socket, over a host runtime.
type fixture struct {
	*testing.T
	sandboxv1.SandboxServiceClient
	codebases sandboxv1.CodebaseServiceClient
	conn      *grpc.ClientConn
	runtime   *hostRuntime
	server    *Server
	socket    string
}

func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{T: t, runtime: &hostRuntime{dir: filepath.Join(dir, "workspace")}, socket: filepath.Join(dir, "s")}
	if err := os.Mkdir(f.runtime.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	reg, err := sandbox.Open(sandbox.Config{Dir: dir, Store: ownUID{st}, Codebases: st, Views: noViews{}, Runtime: f.runtime, MaxPerOwner: 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	sessions := &session.Registry{}
	cfg := Config{Sandboxes: reg, Sessions: sessions, Store: st, Ingester: ingest.New(st), Version: "test", Log: log}
	for _, c := range change {
		c(&cfg)
	}
	f.server = New(cfg)
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	t.Cleanup(func() {
		f.conn.Close()
		f.server.Stop(func() {
			if err := reg.Close(); err != nil {
				t.Error(err)
			}
			sessions.Close()
		}, time.Second)
		if err := errors.Join(<-served, st.Close()); err != nil {
			t.Error(err)
		}
	})
	f.conn, err = grpc.NewClient("unix://"+f.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	f.SandboxServiceClient = sandboxv1.NewSandboxServiceClient(f.conn)
	f.codebases = sandboxv1.NewCodebaseServiceClient(f.conn)
	return f
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (f *fixture) codebase(files ...string) string {
	f.Helper()
	cb, err := f.codebases.CreateCodebase(ctxOf(f.T), &sandboxv1.CreateCodebaseRequest{Name: "test"})
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		if _, err := f.upload(&sandboxv1.UploadChunk_Metadata{CodebaseId: cb.GetId(), FilePath: path}, path); err != nil {
			f.Fatal(err)
		}
	}
	return cb.GetId()
}

func (f *fixture) upload(meta *sandboxv1.UploadChunk_Metadata, chunks ...string) (*sandboxv1.UploadResult, error) {
	f.Helper()
	stream, err := f.codebases.UploadFiles(ctxOf(f.T))
	if err != nil {
		return nil, err
	}
	if meta != nil {
		stream.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Metadata_{Metadata: meta}})
	}
	for _, c := range chunks {
		stream.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Data{Data: []byte(c)}})
	}
	return stream.CloseAndRecv()
}

func (f *fixture) sandbox() string {
	f.Helper()
	sb, err := f.CreateSandbox(ctxOf(f.T), &sandboxv1.CreateSandboxRequest{CodebaseId: f.codebase("a"), Start: true})
	if err != nil {
		f.Fatal(err)
	}
	return sb.GetId()
}

func (f *fixture) exec(req *sandboxv1.ExecRequest) *sandboxv1.ExecResult {
	f.Helper()
	res, err := f.Exec(ctxOf(f.T), req)
	if err != nil {
		f.Fatal(err)
	}
	return res
}

// wantError checks code, domain and reason, and returns the metadata.
func wantError(t *testing.T, err error, code codes.Code, reason string) map[string]string {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("error is %v (%s), want %v", st.Code(), st.Message(), code)
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			if info.GetDomain() != Domain || info.GetReason() != reason {
				t.Errorf("error has reason %s of %s, want %s (%s)", info.GetReason(), info.GetDomain(), reason, st.Message())
			}
			return info.GetMetadata()
		}
	}
	t.Errorf("error %v has no details", err)
	return nil
}

func readChunks(stream grpc.ServerStreamingClient[sandboxv1.FileChunk]) (string, error) {
	var all strings.Builder
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.Write(m.GetData())
	}
}
