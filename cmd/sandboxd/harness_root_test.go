//go:build root

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// programs is where TestMain has built sandboxd and its programs.
var programs string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests need root")
		return 1
	}
	var err error
	if programs, err = os.MkdirTemp("", "sandboxd-bin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	for _, b := range []struct{ cgo, name string }{{"1", "sandboxd"}, {"0", "agentfense-view"}, {"0", "agentfense-worker"}} {
		build := exec.CommandContext(context.Background(), "go", "build", "-o", programs+"/", "../"+b.name)
		build.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", b.name, err, out)
			return 1
		}
	}
	return m.Run()
}

// box is a daemon of a test's own, with a client.
type box struct {
	*testing.T
	dir    string
	prefix []string // of the daemon's command line
	cmd    *exec.Cmd
	log    *bytes.Buffer
	exited chan error
	conn   *grpc.ClientConn
	sandboxv1.SandboxServiceClient
	codebases sandboxv1.CodebaseServiceClient
}

// newBox starts a daemon and stops it when the test ends.
func newBox(t *testing.T, flags ...string) *box {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandboxd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	b := &box{T: t, dir: dir}
	b.start(flags...)
	t.Cleanup(b.stop)
	return b
}

// newBoxAfter is newBox in a mount namespace that a shell command has changed.
func newBoxAfter(t *testing.T, change string, flags ...string) *box {
	t.Helper()
	b := &box{T: t, dir: t.TempDir(), prefix: []string{"unshare", "-m", "-u", "sh", "-c", change + ` && exec "$@"`, "sh"}}
	b.start(flags...)
	t.Cleanup(b.stop)
	return b
}

func (b *box) socket() string { return filepath.Join(b.dir, "run", "api.sock") }

// start starts the daemon and connects.
func (b *box) start(flags ...string) {
	b.Helper()
	args := append([]string{"--state-dir", filepath.Join(b.dir, "state"), "--run-dir", filepath.Join(b.dir, "run"), "--log-level", "debug"}, flags...)
	argv := slices.Concat(b.prefix, []string{filepath.Join(programs, "sandboxd")}, args)
	b.cmd = exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	b.log = &bytes.Buffer{}
	b.cmd.Stderr = b.log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for range 1000 { // a client that meets no socket waits for a second
		if _, err := os.Lstat(b.socket()); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(b.cmd, b.exited)
	b.connect()
	b.await()
}

// connect makes a client.
func (b *box) connect() {
	b.Helper()
	conn, err := grpc.NewClient("unix://"+b.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		b.Fatal(err)
	}
	b.conn = conn
	b.SandboxServiceClient = sandboxv1.NewSandboxServiceClient(conn)
	b.codebases = sandboxv1.NewCodebaseServiceClient(conn)
}

func (b *box) await() {
	b.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := healthv1.NewHealthClient(b.conn).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			return
		}
		select {
		case err := <-b.exited:
			b.exited <- err
			b.Fatalf("sandboxd ended: %v\n%s", err, b.log)
		default:
		}
		if time.Now().After(deadline) {
			b.cmd.Process.Kill()
			<-b.exited
			b.exited <- nil
			b.Fatalf("sandboxd does not answer: %v\n%s", err, b.log)
		}
	}
}

// stop ends the daemon as systemd would. It is an error to take long.
func (b *box) stop() {
	b.Helper()
	b.conn.Close()
	begin := time.Now()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.Error(err)
	}
	select {
	case err := <-b.exited:
		if err != nil {
			b.Errorf("sandboxd: %v", err)
		}
	case <-time.After(20 * time.Second):
		b.cmd.Process.Kill()
		<-b.exited
		b.Error("sandboxd did not stop")
	}
	if took := time.Since(begin); took > 5*time.Second {
		b.Errorf("sandboxd took %v to stop", took)
	}
	if _, err := os.Lstat(b.socket()); err == nil {
		b.Error("the socket is still there")
	}
	if b.Failed() {
		b.Logf("log of sandboxd:\n%s", b.log)
	}
}

// crash kills the daemon without a chance to clean up.
func (b *box) crash() {
	b.Helper()
	b.conn.Close()
	if err := b.cmd.Process.Kill(); err != nil {
		b.Fatal(err)
	}
	<-b.exited
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// codebase makes a codebase with these files.
func (b *box) codebase(files map[string]string) string {
	b.Helper()
	cb, err := b.codebases.CreateCodebase(ctxOf(b.T), &sandboxv1.CreateCodebaseRequest{Name: b.Name()})
	if err != nil {
		b.Fatal(err)
	}
	for path, content := range files {
		b.upload(cb.GetId(), path, content)
	}
	return cb.GetId()
}

func (b *box) upload(codebase, path, content string) {
	b.Helper()
	up, err := b.codebases.UploadFiles(ctxOf(b.T))
	if err == nil {
		up.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Metadata_{Metadata: &sandboxv1.UploadChunk_Metadata{
			CodebaseId: codebase, FilePath: path, TotalSize: int64(len(content)),
		}}})
		up.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Data{Data: []byte(content)}})
		_, err = up.CloseAndRecv()
	}
	if err != nil {
		b.Fatalf("upload of %s: %v", path, err)
	}
}

// download returns a file of a codebase's head.
func (b *box) download(codebase, path string) (string, error) {
	stream, err := b.codebases.DownloadFile(ctxOf(b.T), &sandboxv1.DownloadFileRequest{CodebaseId: codebase, FilePath: path})
	if err != nil {
		return "", err
	}
	return readAll(stream)
}

func readAll(stream grpc.ServerStreamingClient[sandboxv1.FileChunk]) (string, error) {
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

func rule(pattern string, level sandboxv1.Permission) *sandboxv1.PermissionRule {
	return &sandboxv1.PermissionRule{Pattern: pattern, Permission: level}
}

const (
	none  = sandboxv1.Permission_PERMISSION_NONE
	look  = sandboxv1.Permission_PERMISSION_VIEW
	read  = sandboxv1.Permission_PERMISSION_READ
	write = sandboxv1.Permission_PERMISSION_WRITE

	manual = sandboxv1.CommitMode_COMMIT_MODE_MANUAL
)

// sandbox makes and starts a sandbox.
func (b *box) sandbox(req *sandboxv1.CreateSandboxRequest) string {
	b.Helper()
	req.Start = true
	sb, err := b.CreateSandbox(ctxOf(b.T), req)
	if err != nil {
		b.Fatal(err)
	}
	return sb.GetId()
}

// run runs a command that must exit with 0, and returns its output.
func (b *box) run(sandbox, command string) string {
	b.Helper()
	res, err := b.Exec(ctxOf(b.T), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	if res.GetExitCode() != 0 {
		b.Fatalf("%s: exit code %d, stderr %s", command, res.GetExitCode(), res.GetStderr())
	}
	return res.GetStdout()
}

// wantError checks code, domain and reason, and returns the details.
func wantError(t *testing.T, err error, code codes.Code, reason string) *errdetails.ErrorInfo {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("error is %v (%s), want %v", st.Code(), st.Message(), code)
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			if info.GetDomain() != "agentfense" || info.GetReason() != reason {
				t.Errorf("error has reason %s of %s, want %s", info.GetReason(), info.GetDomain(), reason)
			}
			return info
		}
	}
	t.Errorf("error %v has no details", err)
	return &errdetails.ErrorInfo{}
}

// startExpectingFailure starts a daemon that is to refuse, and returns what it
// says.
func (b *box) startExpectingFailure(flags ...string) string {
	b.Helper()
	args := append([]string{"--state-dir", filepath.Join(b.dir, "state"), "--run-dir", filepath.Join(b.dir, "run")}, flags...)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(programs, "sandboxd"), args...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		b.Errorf("sandboxd did not refuse: %v\n%s", err, out)
	}
	return string(out)
}

// readProc reads a file of the daemon's in /proc.
func readProc(b *box, name string) string {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", b.cmd.Process.Pid, name))
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}
