//go:build root

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// lies are what a worker says that hostile code has taken over, and whether the
// sandbox must end for it.
var lies = map[string]bool{
	"garbage-at-once": true, "wrong-terminals": true, "garbage": true, "torn": true, "huge": true, "empty": true, "ready-again": true, "orders": true, "setup": true,
	"stray-answers": true, "files": true, "flood": true, "end-before-start": true, "two-starts": true, "result-for-command": true,
	"failed-later": true, "listing-of-the-host": true, "result-for-listing": true, "endless-listing": true, "two-answers-to-a-long-listing": true,
	"fifo-for-file": false, "directory-for-file": false, "path-for-file": false, "nothing-for-file": true,
}

// A worker that breaks the protocol loses its sandbox. The daemon lives, says
// why, and serves the others as before.
func TestDaemonSurvivesRogueWorkers(t *testing.T) {
	programs := t.TempDir()
	for from, to := range map[string]string{"sandboxd": "sandboxd", "agentfense-view": "agentfense-view", "rogue": "agentfense-worker"} {
		copyProgram(t, filepath.Join(bin, from), filepath.Join(programs, to))
	}
	d := start(t, programs)
	copyProgram(t, filepath.Join(bin, "agentfense-worker"), filepath.Join(d.dir, "run", "worker.true"))
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	cb := d.ingest(dir)
	honest := d.open(cb, "read-only")
	for what, ends := range lies {
		t.Run(what, func(t *testing.T) {
			d.meet(t, cb, what, ends)
			r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: honest, Command: "cat open.txt"})
			if err != nil || r.GetStdout() != "open" {
				t.Errorf("the honest sandbox: %v, %v", r, err)
			}
		})
	}
	if got := openFiles(t, d.process.Process.Pid); got > 200 {
		t.Errorf("the daemon has %d descriptors open", got)
	}
}

// meet starts a sandbox whose worker lies, and uses it.
func (d *daemon) meet(t *testing.T, cb, what string, ends bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sb, err := d.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{
		CodebaseId: cb, CommitMode: sandboxv1.CommitMode_COMMIT_MODE_MANUAL,
		Permissions: []*sandboxv1.PermissionRule{{Pattern: "/say-" + what + "/**", Permission: sandboxv1.Permission_PERMISSION_WRITE}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, startErr := d.StartSandbox(ctx, &sandboxv1.StartSandboxRequest{SandboxId: sb.GetId()})
	if startErr == nil {
		d.use(ctx, t, sb.GetId())
	} else if what != "garbage-at-once" && what != "silence" {
		t.Logf("StartSandbox() = %v", startErr)
	}
	if ctx.Err() != nil {
		t.Error("a call did not end")
	}
	if ends {
		d.awaitEnd(t, sb.GetId(), startErr)
	}
	if _, err := d.DestroySandbox(bound(t), &sandboxv1.DestroySandboxRequest{SandboxId: sb.GetId()}); err != nil {
		t.Error(err)
	}
}

// use makes calls that the worker answers, and wants them to end.
func (d *daemon) use(ctx context.Context, t *testing.T, sandbox string) {
	t.Helper()
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	r, err := d.Exec(short, &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "true"})
	t.Logf("Exec() = %v, %v", r, err)
	short, cancel = context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	stream, err := d.ReadFile(short, &sandboxv1.ReadFileRequest{SandboxId: sandbox, Path: []byte("/open.txt")})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err == nil {
			t.Logf("ReadFile() gave %q", m.GetData())
			continue
		}
		if status.Code(err) == codes.Internal {
			t.Logf("ReadFile() = %v", err)
		}
		break
	}
	listed, err := d.ListSandboxFiles(short, &sandboxv1.ListSandboxFilesRequest{SandboxId: sandbox})
	t.Logf("ListSandboxFiles() = %d files, %v", len(listed.GetFiles()), err)
	stream2, err := d.WriteFile(short)
	if err == nil {
		_ = stream2.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: &sandboxv1.WriteFileRequest_Start{SandboxId: sandbox, Path: []byte("x")}}})
		_ = stream2.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: bytes.Repeat([]byte("x"), 1<<20)}})
		_, _ = stream2.CloseAndRecv()
	}
}

// awaitEnd waits until the daemon says that a sandbox is over, and why.
func (d *daemon) awaitEnd(t *testing.T, sandbox string, startErr error) {
	t.Helper()
	var sb *sandboxv1.Sandbox
	for range 100 {
		var err error
		if sb, err = d.GetSandbox(bound(t), &sandboxv1.GetSandboxRequest{SandboxId: sandbox}); err != nil {
			t.Fatal(err)
		}
		if sb.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING && sb.GetStatusReason() != "" {
			return
		}
		if startErr != nil && sb.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the sandbox is %v, %q (start: %v)", sb.GetStatus(), sb.GetStatusReason(), startErr)
}

// Every signal, from everything that a sandbox may run: it may end, but then the
// daemon says so, and nothing hangs.
func TestSignalsToTheFirstProcess(t *testing.T) {
	d := start(t, bin)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	cb := d.ingest(dir)
	sandbox := d.open(cb, "development")
	for n := range 65 {
		for name, command := range map[string]string{
			"once":   fmt.Sprintf("kill -%d 1", n),
			"often":  fmt.Sprintf("for i in $(seq 200); do kill -%d 1; done", n),
			"queued": fmt.Sprintf("python3 -c 'import os\nfor i in range(2000): os.kill(1, %d)'", n),
		} {
			if name == "queued" && n%8 != 0 {
				continue // starting an interpreter takes long
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			_, err := d.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
			cancel()
			if code := status.Code(err); code == codes.DeadlineExceeded || code == codes.Internal {
				t.Errorf("signal %d %s: %v after %v", n, name, err, time.Since(began))
			}
			if sb, err := d.GetSandbox(bound(t), &sandboxv1.GetSandboxRequest{SandboxId: sandbox}); err != nil {
				t.Fatal(err)
			} else if sb.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING {
				t.Logf("signal %d %s ended the sandbox: %s", n, name, sb.GetStatusReason())
				if !strings.Contains(sb.GetStatusReason(), "worker ended") {
					t.Errorf("signal %d %s ended the sandbox for no reason", n, name)
				}
				sandbox = d.open(cb, "development")
			}
		}
	}
	r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "cat open.txt"})
	if err != nil || r.GetStdout() != "open" {
		t.Errorf("afterwards: %v, %v", r, err)
	}
}

func copyProgram(t testing.TB, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

func openFiles(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// children are the processes that the daemon has started.
func (d *daemon) children() map[int]bool {
	d.Helper()
	found := map[int]bool{}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.process.Process.Pid))
	if err != nil {
		d.Fatal(err)
	}
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		for pid := range strings.FieldsSeq(string(b)) {
			n, err := strconv.Atoi(pid)
			if err != nil {
				d.Fatal(err)
			}
			found[n] = true
		}
	}
	return found
}

// From outside, a worker catches what it can; when it is killed, its sandbox
// ends with all that runs there, and the others do not.
func TestKilledWorkerEndsItsSandbox(t *testing.T) {
	d := start(t, bin)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	cb := d.ingest(dir)
	other := d.open(cb, "development") // and with it the view
	before := d.children()
	sandbox := d.open(cb, "development")
	worker := 0
	for pid := range d.children() {
		if !before[pid] && worker != 0 {
			t.Fatal("the daemon has several new processes")
		}
		if !before[pid] {
			worker = pid
		}
	}
	if worker == 0 {
		t.Fatal("the daemon has no new process")
	}
	ended := make(chan error, 1)
	go func() {
		_, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "sleep 600"})
		ended <- err
	}()
	for n := unix.Signal(1); n <= 64; n++ {
		if n != unix.SIGKILL && n != unix.SIGSTOP {
			if err := unix.Kill(worker, n); err != nil {
				t.Fatalf("signal %d: %v", n, err)
			}
		}
	}
	if r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "cat open.txt"}); err != nil || r.GetStdout() != "open" {
		t.Errorf("after all signals but SIGKILL: %v, %v", r, err)
	}
	if err := unix.Kill(worker, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the command = %v, want a failed precondition", err)
	}
	d.awaitEnd(t, sandbox, nil)
	sb, err := d.GetSandbox(bound(t), &sandboxv1.GetSandboxRequest{SandboxId: sandbox})
	if err != nil || !strings.Contains(sb.GetStatusReason(), "worker ended: signal: killed") {
		t.Errorf("the sandbox is %v, %q, %v", sb.GetStatus(), sb.GetStatusReason(), err)
	}
	if r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: other, Command: "cat open.txt"}); err != nil || r.GetStdout() != "open" {
		t.Errorf("the other sandbox: %v, %v", r, err)
	}
}
