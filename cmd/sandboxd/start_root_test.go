//go:build root

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestMissingRightsAreNamed(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(ctxOf(t), filepath.Join(programs, "sandboxd"), "--state-dir", dir+"/state", "--run-dir", dir+"/run")
	if err := os.Chmod(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 3001, Gid: 3001}}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it started")
	}
	for _, want := range []string{"root", "uid 3001", "CAP_SYS_ADMIN", "CAP_SETUID", "/dev/fuse"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it says %q and not %q", out, want)
		}
	}
}

func TestDaemonIsInvisibleToTheHost(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(map[string]string{"a": "a"}), Permissions: reading()})
	b.run(sb, "cat a")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), b.dir) {
		t.Error("the daemon's mounts show on the host")
	}
	b.DestroySandbox(ctxOf(t), &sandboxv1.DestroySandboxRequest{SandboxId: sb})
}

func TestSystemdSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "given.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`,
		filepath.Join(programs, "sandboxd"), "--state-dir", dir+"/state", "--run-dir", dir+"/run")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	info, err := sandboxv1.NewSandboxServiceClient(conn).GetInfo(ctx, &sandboxv1.GetInfoRequest{}, grpc.WaitForReady(true))
	if err != nil || info.GetKernel() == "" {
		t.Errorf("info is %v, %v", info, err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("systemd's socket was removed: %v", err)
	}
	if _, err := os.Lstat(dir + "/run/api.sock"); err == nil {
		t.Error("a socket of its own was made as well")
	}
}

func TestNothingIsLeft(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	for range 40 {
		b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading()})
	}
	b.stop() // checks how long it takes
	for _, dir := range []string{"run/views", "run/roots"} {
		if left, err := os.ReadDir(filepath.Join(b.dir, dir)); err == nil {
			t.Errorf("%s is still there: %v", dir, left)
		}
	}
	if alive(t, b.dir) {
		t.Error("a process of the daemon is left")
	}
	b.start()
}
