//go:build docker

package docker

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// gone waits until an engine has no container.
func (e *engine) gone(t testing.TB) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left = e.containers(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("containers are left: %v", left)
}

func TestNoEngine(t *testing.T) {
	d := startAt(t, "unix:///nonexistent/docker.sock")
	_, err := d.CreateSandbox(bound(t), d.request(d.ingest(), image))
	code, reason, message := failure(err)
	if code != codes.FailedPrecondition || reason != "RUNTIME_UNAVAILABLE" || !strings.Contains(message, "docker.io") || !strings.Contains(message, "/nonexistent/docker.sock") {
		t.Errorf("got %v %s: %s", code, reason, message)
	}
}

// A crash of the daemon ends its containers, and its successor removes what the
// engine still has of them, but nothing that is not its own.
func TestDaemonIsKilled(t *testing.T) {
	d := start(t)
	id := d.open(d.request(d.ingest(), image))
	d.sh(id, "echo kept > /output/x")
	d.crash()
	d.launch()
	dock.gone(t)
	if _, err := d.StartSandbox(bound(t), &sandboxv1.StartSandboxRequest{SandboxId: id}); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.sh(id, "cat /output/x"); got != "kept" {
		t.Errorf("the delta says %q", got)
	}
	d.destroy(id)
	dock.gone(t)
}

// What was killed between the making of a container and its first breath is
// removed too.
func TestSweepRemovesOnlyItsOwn(t *testing.T) {
	d := start(t)
	id := d.open(d.request(d.ingest(), image))
	names := dock.containers(t)
	if len(names) != 1 || !strings.HasPrefix(names[0], "/agentfense-d") || !strings.HasSuffix(names[0], id) {
		t.Fatalf("containers are %v", names)
	}
	owner := strings.TrimSuffix(strings.TrimPrefix(names[0], "/agentfense-"), "-"+id)
	mine := create(t, "agentfense-"+owner+"-sb_left", map[string]string{"agentfense.daemon": owner})
	foreign := create(t, "somebodys", map[string]string{"agentfense.daemon": owner})
	neighbour := create(t, "agentfense-d000000000000-sb_x", map[string]string{"agentfense.daemon": "d000000000000"})
	d.crash()
	d.launch()
	left := strings.Join(dock.containers(t), " ")
	if left != "/"+neighbour+" /"+foreign && left != "/"+foreign+" /"+neighbour {
		t.Errorf("left are %s, not %s and %s; %s should be gone", left, foreign, neighbour, mine)
	}
}

// An engine that dies takes no sandbox with it. What needs it fails and says so,
// and what it could not remove is removed when it is back.
func TestEngineIsKilled(t *testing.T) {
	e, err := startEngine()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}()
	f, err := os.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.load(image, f); err != nil {
		t.Fatal(err)
	}
	d := startAt(t, e.host())
	cb := d.ingest()
	one, other := d.open(d.request(cb, image)), d.open(d.request(cb, image))
	e.kill()
	if got, _ := d.sh(one, "python3 main.py"); got != "hi" {
		t.Errorf("without the engine the sandbox says %q", got)
	}
	_, err = d.CreateSandbox(bound(t), d.request(cb, image))
	if code, reason, message := failure(err); code != codes.FailedPrecondition || reason != "RUNTIME_UNAVAILABLE" || !strings.Contains(message, e.host()) {
		t.Errorf("got %v %s: %s", code, reason, message)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := d.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: one}); err != nil {
		t.Errorf("without the engine a sandbox cannot be destroyed: %v", err)
	}
	if err := e.start(); err != nil {
		t.Fatal(err)
	}
	d.open(d.request(cb, image))
	d.destroy(other)
	d.stop()
	e.gone(t)
}
