//go:build root

package e2e

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

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// bin holds the programs under test.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "agentfense-e2e-")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		bin = dir
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	for name, cgo := range map[string]string{"sandboxd": "1", "agentfense": "0", "agentfense-view": "0", "agentfense-worker": "0"} {
		c := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/agentfense/agentfense/cmd/"+name)
		c.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// daemon is one running sandboxd and a client of it.
type daemon struct {
	t        testing.TB
	dir      string
	endpoint string
	process  *exec.Cmd
	log      *bytes.Buffer
	sandbox  sandboxv1.SandboxServiceClient
	codebase sandboxv1.CodebaseServiceClient
}

// start starts a daemon of its own for the test, and checks at the end that
// stopping it leaves nothing.
func start(t testing.TB) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir()}
	if err := os.Chmod(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(d.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	d.launch()
	t.Cleanup(func() {
		d.stop()
		checkNothingLeft(t, d.dir)
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.log)
		}
	})
	return d
}

func (d *daemon) launch() {
	d.t.Helper()
	d.endpoint = "unix://" + d.dir + "/api.sock"
	d.log = &bytes.Buffer{}
	d.process = exec.Command(filepath.Join(bin, "sandboxd"),
		"--state-dir", d.dir+"/state", "--run-dir", d.dir+"/run", "--listen", d.endpoint, "--listen-mode", "0666")
	d.process.Stdout, d.process.Stderr = d.log, d.log
	if err := d.process.Start(); err != nil {
		d.t.Fatal(err)
	}
	conn, err := grpc.NewClient(d.endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	d.sandbox = sandboxv1.NewSandboxServiceClient(conn)
	d.codebase = sandboxv1.NewCodebaseServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := d.sandbox.GetInfo(ctx, &sandboxv1.GetInfoRequest{}, grpc.WaitForReady(true)); err != nil {
		d.t.Fatalf("the daemon does not answer: %v\n%s", err, d.log)
	}
}

// stop asks the daemon to end, as systemd would.
func (d *daemon) stop() {
	d.t.Helper()
	if d.process.ProcessState != nil {
		return
	}
	began := time.Now()
	_ = d.process.Process.Signal(syscall.SIGTERM)
	if err := d.process.Wait(); err != nil {
		d.t.Errorf("sandboxd ended with %v\n%s", err, d.log)
	}
	if took := time.Since(began); took > 5*time.Second {
		d.t.Errorf("sandboxd took %v to stop", took)
	}
}

// crash ends the daemon as a power cut would, but for the disk.
func (d *daemon) crash() {
	d.t.Helper()
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
}

// pid is the daemon's process.
func (d *daemon) pid() int { return d.process.Process.Pid }
