//go:build root

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestLifecycle(t *testing.T) {
	b := newBox(t)
	ctx := ctxOf(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb, err := b.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading(), CommitMode: manual})
	if err != nil || sb.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_PENDING {
		t.Fatalf("created %v, %v", sb, err)
	}
	id := sb.GetId()
	_, err = b.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: id, Command: "true"})
	if info := wantError(t, err, codes.FailedPrecondition, "SANDBOX_NOT_RUNNING"); info.GetMetadata()["status"] != "pending" {
		t.Errorf("metadata is %v", info.GetMetadata())
	}
	_, err = b.StopSandbox(ctx, &sandboxv1.StopSandboxRequest{SandboxId: id})
	wantError(t, err, codes.FailedPrecondition, "SANDBOX_NOT_RUNNING")
	if sb, err = b.StartSandbox(ctx, &sandboxv1.StartSandboxRequest{SandboxId: id}); err != nil || sb.GetStartedAt() == nil {
		t.Fatalf("started %v, %v", sb, err)
	}
	_, err = b.StartSandbox(ctx, &sandboxv1.StartSandboxRequest{SandboxId: id})
	wantError(t, err, codes.FailedPrecondition, "SANDBOX_RUNNING")
	b.run(id, "echo kept > output/x; sleep 1000 & ")
	if sb, err = b.StopSandbox(ctx, &sandboxv1.StopSandboxRequest{SandboxId: id}); err != nil || sb.GetStoppedAt() == nil {
		t.Fatalf("stopped %v, %v", sb, err)
	}
	if _, err = b.StartSandbox(ctx, &sandboxv1.StartSandboxRequest{SandboxId: id}); err != nil {
		t.Fatal(err)
	}
	if got := b.run(id, "cat output/x; pgrep -c sleep || true"); got != "kept\n0\n" {
		t.Errorf("output is %q", got)
	}
	if _, err = b.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: id}); err != nil {
		t.Fatal(err)
	}
	_, err = b.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: id})
	wantError(t, err, codes.NotFound, "SANDBOX_NOT_FOUND")
	waitFor(t, "the trash to be empty", func() bool {
		left, err := os.ReadDir(filepath.Join(b.dir, "state", "trash"))
		return err == nil && len(left) == 0
	})
}

func TestSandboxesSurviveACrashOfTheDaemon(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading(), CommitMode: manual, Labels: map[string]string{"k": "v"}})
	gone := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading(), CommitMode: manual})
	b.run(sb, "echo kept > output/x; (sleep 4711 &) ")
	b.crash()
	b.start()
	info, err := b.GetSandbox(ctxOf(t), &sandboxv1.GetSandboxRequest{SandboxId: sb})
	if err != nil || info.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_STOPPED ||
		!strings.Contains(info.GetStatusReason(), "daemon ended") || info.GetLabels()["k"] != "v" || len(info.GetPermissions()) != 3 {
		t.Fatalf("sandbox is %v, %v", info, err)
	}
	if _, err := b.DestroySandbox(ctxOf(t), &sandboxv1.DestroySandboxRequest{SandboxId: gone}); err != nil {
		t.Error(err)
	}
	if _, err := b.StartSandbox(ctxOf(t), &sandboxv1.StartSandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	if got := b.run(sb, "cat output/x a"); got != "kept\na" {
		t.Errorf("output is %q", got)
	}
	if alive(t, "sleep\x004711") {
		t.Error("a process of the crashed daemon's sandbox still runs")
	}
}

// alive reports whether a process with this command line exists.
func alive(t *testing.T, cmdline string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && strings.Contains(string(data), cmdline) {
			return true
		}
	}
	return false
}

func TestStopIsQuickWithSandboxesAndStreams(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	var calls sync.WaitGroup
	for range 10 {
		sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading()})
		stream, err := b.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "trap '' TERM INT; yes"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		calls.Go(func() {
			b.Exec(context.Background(), &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 1000"})
		})
	}
	b.stop() // checks how long it takes
	calls.Wait()
	b.start()
}

func TestSandboxThatEndsItselfIsStopped(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil), Permissions: reading()})
	b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "kill -9 -1; kill -KILL 1; for s in $(seq 1 64); do kill -$s 1; done"})
	info, err := b.GetSandbox(ctxOf(t), &sandboxv1.GetSandboxRequest{SandboxId: sb})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("status is %v (%s)", info.GetStatus(), info.GetStatusReason())
	// Whatever it did to itself, it can be started again.
	if info.GetStatus() == sandboxv1.SandboxStatus_SANDBOX_STATUS_STOPPED {
		if info.GetStatusReason() == "" {
			t.Error("nobody says why it stopped")
		}
		if _, err := b.StartSandbox(ctxOf(t), &sandboxv1.StartSandboxRequest{SandboxId: sb}); err != nil {
			t.Fatal(err)
		}
	}
	b.run(sb, "true")
}

func TestExpiredSandboxIsDestroyed(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil), ExpiresIn: durationpb.New(2 * time.Second)})
	waitFor(t, "the sandbox to expire", func() bool {
		_, err := b.GetSandbox(ctxOf(t), &sandboxv1.GetSandboxRequest{SandboxId: sb})
		if err != nil {
			wantError(t, err, codes.NotFound, "SANDBOX_NOT_FOUND")
		}
		return err != nil
	})
}

func TestSecondDaemonIsRefused(t *testing.T) {
	b := newBox(t)
	second := &box{T: t, dir: b.dir}
	out := second.startExpectingFailure()
	if !strings.Contains(out, "another sandboxd (pid ") {
		t.Errorf("it says %q", out)
	}
	b.run(b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)}), "true")
}

func TestHangUpIsIgnored(t *testing.T) {
	b := newBox(t)
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	b.codebase(nil)
}
