//go:build root

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// bin holds the programs under test, and zoo.
var bin string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "agentfense-zoo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for name, cgo := range map[string]string{"cmd/sandboxd": "1", "cmd/agentfense-view": "0", "cmd/agentfense-worker": "0", "test/zoo": "0", "test/zoo/rogue": "0"} {
		c := exec.Command("go", "build", "-o", filepath.Join(dir, filepath.Base(name)), "github.com/agentfense/agentfense/"+name)
		c.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := c.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	return m.Run()
}

// daemon is one running sandboxd and a client of it.
type daemon struct {
	testing.TB
	dir     string
	process *exec.Cmd
	log     *bytes.Buffer
	sandboxv1.SandboxServiceClient
	codebases sandboxv1.CodebaseServiceClient
}

// start starts the daemon in programs, until the test ends.
func start(t testing.TB, programs string, flags ...string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "zoo-daemon-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &daemon{TB: t, dir: dir, log: &bytes.Buffer{}}
	d.process = exec.Command(filepath.Join(programs, "sandboxd"), append([]string{
		"--state-dir", dir + "/state", "--run-dir", dir + "/run", "--listen", "unix://" + d.socket(), "--listen-mode", "0666", "--log-level", "debug",
	}, flags...)...)
	d.process.Stdout, d.process.Stderr = d.log, d.log
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	conn := d.dial(grpc.MaxCallRecvMsgSize(64 << 20))
	d.SandboxServiceClient, d.codebases = sandboxv1.NewSandboxServiceClient(conn), sandboxv1.NewCodebaseServiceClient(conn)
	d.alive()
	return d
}

func (d *daemon) socket() string { return d.dir + "/api.sock" }

func (d *daemon) dial(options ...grpc.CallOption) *grpc.ClientConn {
	d.Helper()
	conn, err := grpc.NewClient("unix://"+d.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(options...))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = conn.Close() })
	return conn
}

// alive fails the test unless the daemon answers soon.
func (d *daemon) alive() {
	d.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := d.GetInfo(ctx, &sandboxv1.GetInfoRequest{}, grpc.WaitForReady(true)); err != nil {
		d.Fatalf("the daemon does not answer: %v\n%s", err, d.log)
	}
}

func (d *daemon) stop() {
	d.Helper()
	if err := d.process.Process.Signal(syscall.SIGTERM); err != nil {
		d.Errorf("the daemon is gone: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.process.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			d.Errorf("sandboxd ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		_ = d.process.Process.Kill()
		<-ended
		d.Error("sandboxd did not stop")
	}
	if d.Failed() {
		log := d.log.Bytes()
		d.Logf("the daemon said, at the end:\n%s", log[max(0, len(log)-20000):])
	}
}

// bound gives each call of a test a minute.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// presetRules are those of a preset and those of the codebase after them.
func presetRules(t testing.TB, preset string) []*sandboxv1.PermissionRule {
	t.Helper()
	list, err := policy.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range rules {
		r, err := policy.ParseRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	var out []*sandboxv1.PermissionRule
	for _, r := range list {
		out = append(out, &sandboxv1.PermissionRule{
			Pattern:    r.Pattern,
			Type:       sandboxv1.PatternType(r.Type) + sandboxv1.PatternType_PATTERN_TYPE_GLOB,
			Permission: sandboxv1.Permission(r.Level) + sandboxv1.Permission_PERMISSION_NONE,
			Priority:   r.Priority,
			Preset:     r.Preset,
		})
	}
	return out
}

// ingest makes a codebase of a directory, with all that is in it.
func (d *daemon) ingest(dir string) string {
	d.Helper()
	cb, err := d.codebases.CreateCodebase(bound(d), &sandboxv1.CreateCodebaseRequest{Name: "zoo"})
	if err != nil {
		d.Fatal(err)
	}
	stream, err := d.codebases.IngestDirectory(bound(d), &sandboxv1.IngestDirectoryRequest{CodebaseId: cb.GetId(), Directory: []byte(dir)})
	if err != nil {
		d.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			d.Fatal(err)
		}
		if r := m.GetResult(); r != nil {
			if int(r.GetFiles()+r.GetSymlinks()) != len(codebase) {
				d.Fatalf("%d files and %d links went in, of %d", r.GetFiles(), r.GetSymlinks(), len(codebase))
			}
			return cb.GetId()
		}
	}
}

// groups are the seccomp groups of a preset, but core.
func groups(t testing.TB, preset string) []string {
	t.Helper()
	for _, info := range policy.Presets() {
		if info.Name == preset {
			return info.Groups[1:]
		}
	}
	t.Fatalf("no preset %q", preset)
	return nil
}

// open starts a sandbox of a preset.
func (d *daemon) open(codebase, preset string) string {
	d.Helper()
	req := &sandboxv1.CreateSandboxRequest{
		CodebaseId: codebase, Permissions: presetRules(d, preset), SeccompGroups: groups(d, preset),
		CommitMode: sandboxv1.CommitMode_COMMIT_MODE_MANUAL, Start: true,
	}
	if *image != "" {
		req.Runtime, req.Image = sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER, *image
	}
	sb, err := d.CreateSandbox(bound(d), req)
	if err != nil {
		d.Fatal(err)
	}
	return sb.GetId()
}
