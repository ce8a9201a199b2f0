//go:build docker

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const image = "python:3.11-slim"

var (
	bin  string  // the programs under test
	base string  // the tar of image
	tiny string  // that of a smaller one, of which hostile ones are made
	dock *engine // what all tests share
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "agentfense-docker-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	bin, base, tiny = dir, dir+"/base.tar", dir+"/tiny.tar"
	if out, err := exec.Command("../../scripts/build", dir).CombinedOutput(); err != nil {
		return fail(fmt.Errorf("cannot build: %w\n%s", err, out))
	}
	if err := errors.Join(hostTar(base, morePackages), hostTar(tiny, fewPackages)); err != nil {
		return fail(err)
	}
	if dock, err = startEngine(); err != nil {
		return fail(err)
	}
	code := 1
	if f, err := os.Open(base); err != nil {
		fail(err)
	} else if err := dock.load(image, f); err != nil {
		fail(err)
	} else {
		code = m.Run()
	}
	if err := dock.close(); err != nil {
		return fail(err)
	}
	return code
}

// daemon is one sandboxd and a client of it.
type daemon struct {
	testing.TB
	dir     string
	engine  string
	process *exec.Cmd
	log     *bytes.Buffer
	sandboxv1.SandboxServiceClient
	codebases sandboxv1.CodebaseServiceClient
}

// start starts a daemon for the test. At the end nothing may be left of it.
func start(t testing.TB) *daemon {
	t.Helper()
	return startAt(t, dock.host())
}

func startAt(t testing.TB, engine string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "agentfense-docker-daemon-")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{TB: t, dir: dir, engine: engine}
	d.launch()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.log)
		}
		if entries, _ := os.ReadDir(dir + "/state/containers"); len(entries) > 0 {
			t.Errorf("left in the state directory: %v", entries)
		}
		os.RemoveAll(dir)
	})
	return d
}

func (d *daemon) launch() {
	d.Helper()
	d.log = &bytes.Buffer{}
	endpoint := "unix://" + d.dir + "/api.sock"
	d.process = exec.Command(filepath.Join(bin, "sandboxd"), "--state-dir", d.dir+"/state", "--run-dir", d.dir+"/run", "--listen", endpoint, "--log-level", "debug")
	d.process.Env = append(os.Environ(), "DOCKER_HOST="+d.engine)
	d.process.Stdout, d.process.Stderr = d.log, d.log
	if err := d.process.Start(); err != nil {
		d.Fatal(err)
	}
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = conn.Close() })
	d.SandboxServiceClient, d.codebases = sandboxv1.NewSandboxServiceClient(conn), sandboxv1.NewCodebaseServiceClient(conn)
	if _, err := d.GetInfo(bound(d), &sandboxv1.GetInfoRequest{}, grpc.WaitForReady(true)); err != nil {
		d.Fatalf("the daemon does not answer: %v\n%s", err, d.log)
	}
}

func (d *daemon) stop() {
	d.Helper()
	if d.process.ProcessState != nil {
		return
	}
	_ = d.process.Process.Signal(syscall.SIGTERM)
	if err := d.process.Wait(); err != nil {
		d.Errorf("sandboxd ended with %v", err)
	}
}

func (d *daemon) crash() {
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
}

// bound gives each call of a test two minutes.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// files is the codebase of the tests.
var files = map[string]string{"main.py": "print('hi')\n", ".env": "KEY=hidden", "secrets/token": "hidden", "src/a": "a"}

// ingest makes a codebase.
func (d *daemon) ingest() string {
	d.Helper()
	dir := d.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			d.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			d.Fatal(err)
		}
	}
	cb, err := d.codebases.CreateCodebase(bound(d), &sandboxv1.CreateCodebaseRequest{Name: "t"})
	if err != nil {
		d.Fatal(err)
	}
	stream, err := d.codebases.IngestDirectory(bound(d), &sandboxv1.IngestDirectoryRequest{CodebaseId: cb.GetId(), Directory: []byte(dir)})
	for err == nil {
		var m *sandboxv1.IngestProgress
		if m, err = stream.Recv(); err == nil && m.GetResult() != nil {
			return cb.GetId()
		}
	}
	d.Fatal(err)
	return ""
}

// request asks for a container with the preset agent-safe.
func (d *daemon) request(codebase, image string) *sandboxv1.CreateSandboxRequest {
	d.Helper()
	list, err := policy.Preset("agent-safe")
	if err != nil {
		d.Fatal(err)
	}
	req := &sandboxv1.CreateSandboxRequest{
		CodebaseId: codebase, Runtime: sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER, Image: image, Start: true,
		CommitMode: sandboxv1.CommitMode_COMMIT_MODE_MANUAL,
	}
	for _, r := range list {
		req.Permissions = append(req.Permissions, &sandboxv1.PermissionRule{
			Pattern: r.Pattern, Type: sandboxv1.PatternType(r.Type) + sandboxv1.PatternType_PATTERN_TYPE_GLOB,
			Permission: sandboxv1.Permission(r.Level) + sandboxv1.Permission_PERMISSION_NONE, Priority: r.Priority, Preset: r.Preset,
		})
	}
	return req
}

// open returns a running sandbox.
func (d *daemon) open(req *sandboxv1.CreateSandboxRequest) string {
	d.Helper()
	sb, err := d.CreateSandbox(bound(d), req)
	if err != nil {
		d.Fatal(err)
	}
	if sb.GetRuntime() != req.GetRuntime() || sb.GetImage() != req.GetImage() {
		d.Errorf("the sandbox is said to be of %v and %q", sb.GetRuntime(), sb.GetImage())
	}
	return sb.GetId()
}

// sh runs a command and returns what it said on both streams.
func (d *daemon) sh(sandbox, command string) (string, *sandboxv1.ExecResult) {
	d.Helper()
	r, err := d.Exec(bound(d), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
	if err != nil {
		d.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(r.GetStdout() + r.GetStderr()), r
}

func (d *daemon) destroy(sandbox string) {
	d.Helper()
	if _, err := d.DestroySandbox(bound(d), &sandboxv1.DestroySandboxRequest{SandboxId: sandbox}); err != nil {
		d.Error(err)
	}
}
