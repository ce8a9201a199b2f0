//go:build root

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// tell runs a command and returns its output, both streams, however it ends.
func (b *box) tell(sandbox, command string) string {
	b.Helper()
	res, err := b.Exec(ctxOf(b.T), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return res.GetStdout() + res.GetStderr()
}

func TestAFullDeltaIsTheSandboxsOwnTrouble(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"src/a": "a"})
	writable := []*sandboxv1.PermissionRule{rule("**/*", write)}
	const limit = 32 << 20
	req := func() *sandboxv1.CreateSandboxRequest {
		return &sandboxv1.CreateSandboxRequest{
			CodebaseId: cb, Permissions: writable, CommitMode: manual, Resources: &sandboxv1.ResourceLimits{DiskBytes: limit},
		}
	}
	full, other := b.sandbox(req()), b.sandbox(req())
	b.run(full, "echo kept > src/kept")
	if out := b.tell(full, "dd if=/dev/zero of=big bs=1M count=64"); !strings.Contains(out, "No space left on device") {
		t.Errorf("64 MiB into a delta of 32 said %q", out)
	}
	if out := b.tell(full, "rm big; for i in $(seq 20000); do : > f$i || exit; done"); !strings.Contains(out, "No space left on device") {
		t.Errorf("20,000 files said %q", out)
	}
	if got := b.run(full, "cat src/kept src/a; df --output=size -B1 /workspace | tail -1"); !strings.HasPrefix(got, "kept\na") {
		t.Errorf("the full sandbox reads %q", got)
	}
	if got := b.run(other, "dd if=/dev/zero of=x bs=1M count=16 2>/dev/null && ls | wc -l"); got != "2\n" {
		t.Errorf("the other sandbox said %q", got)
	}
	b.run(full, "rm f*; echo more > src/more")
	// The delta outlasts a stop, and a daemon that is killed.
	if _, err := b.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: full}); err != nil {
		t.Fatal(err)
	}
	diff, err := b.Diff(ctxOf(t), &sandboxv1.DiffRequest{SandboxId: full})
	if err != nil || len(diff.GetChanges()) != 2 {
		t.Errorf("the stopped sandbox changed %v, %v", diff.GetChanges(), err)
	}
	for _, again := range []string{full, other} {
		b.crash()
		b.start()
		sb, err := b.StartSandbox(ctxOf(t), &sandboxv1.StartSandboxRequest{SandboxId: again})
		if err != nil {
			t.Fatal(err)
		}
		if sb.GetResources().GetDiskBytes() != limit {
			t.Errorf("the limit came back as %v", sb.GetResources())
		}
		b.run(again, "ls x || cat src/kept src/more")
	}
	for _, id := range []string{full, other} {
		if _, err := b.DestroySandbox(ctxOf(t), &sandboxv1.DestroySandboxRequest{SandboxId: id}); err != nil {
			t.Error(err)
		}
	}
	noLoops(t, b.dir)
}

// noLoops waits until no loop device has a file below dir.
func noLoops(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var left []string
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, f := range files {
			if data, _ := os.ReadFile(f); strings.HasPrefix(string(data), dir) {
				left = append(left, f)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("loop devices are left: %q", left)
			return
		}
	}
}

func TestADiskLimitMustBePossible(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	for _, size := range []int64{-1, 1, 4<<20 - 1, 1 << 62} {
		_, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Resources: &sandboxv1.ResourceLimits{DiskBytes: size}})
		wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	}
}

func TestTheLeastAndTheMostOfEachLimitWork(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	for name, limits := range map[string]*sandboxv1.ResourceLimits{
		"least":   {MemoryBytes: 4 << 20, CpuShares: 2, PidsLimit: 2, DiskBytes: 4 << 20, OutputRate: 64 << 10},
		"slowest": {CpuQuota: 1000},
		"most":    {MemoryBytes: 1<<63 - 1, CpuQuota: 10_000_000_000, CpuShares: 262_144, PidsLimit: 4_194_304, DiskBytes: 16<<40 - 4096, OutputRate: 256 << 20},
	} {
		sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: []*sandboxv1.PermissionRule{rule("**/*", write)}, CommitMode: manual, Resources: limits})
		if got := b.run(sb, "echo x > b && echo ok"); got != "ok\n" {
			t.Errorf("with the %s limits a command says %q", name, got)
		}
	}
}

func TestADiskLimitNeedsLoopDevices(t *testing.T) {
	b := newBoxAfter(t, `mkdir /run/d && mount -t tmpfs none /run/d && for n in null zero full random urandom tty fuse ptmx; do cp -a /dev/$n /run/d/; done && mount --move /run/d /dev && rmdir /run/d`)
	cb := b.codebase(map[string]string{"a": "a"})
	_, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Start: true, Resources: &sandboxv1.ResourceLimits{DiskBytes: 8 << 20}})
	if got := wantError(t, err, codes.FailedPrecondition, "LOSS_NOT_ACCEPTED").GetMetadata()["loss"]; got != "disk-limit" {
		t.Errorf("the error is about %q", got)
	}
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{
		CodebaseId: cb, Resources: &sandboxv1.ResourceLimits{DiskBytes: 8 << 20}, AcceptLosses: []string{"disk-limit"},
		Permissions: []*sandboxv1.PermissionRule{rule("**/*", write)},
	})
	b.run(sb, "echo x > b && cat a b")
}

func TestTheSandboxsTimeoutBoundsEachCommand(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{
		CodebaseId: cb, Start: true, Resources: &sandboxv1.ResourceLimits{Timeout: durationpb.New(time.Second)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := sb.GetResources().GetTimeout().AsDuration(); got != time.Second {
		t.Errorf("the sandbox shows a timeout of %v", got)
	}
	for asked, want := range map[time.Duration]string{0: "1", time.Hour: "1", 200 * time.Millisecond: "0.2"} {
		req := &sandboxv1.ExecRequest{SandboxId: sb.GetId(), Command: "sleep 60"}
		if asked > 0 {
			req.Timeout = durationpb.New(asked)
		}
		_, err := b.Exec(ctxOf(t), req)
		if got := wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT").GetMetadata()["timeout"]; got != want {
			t.Errorf("asked for %v: the command ran into %q seconds, want %s", asked, got, want)
		}
	}
	b.run(sb.GetId(), "true")
}

func TestResultsTellOfTheMemoryLimit(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Resources: &sandboxv1.ResourceLimits{MemoryBytes: 64 << 20}})
	for command, want := range map[string]bool{"exec python3 -c 'x = bytearray(200 << 20)'": true, "exit 3": false} {
		res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: command})
		if err != nil {
			t.Fatal(err)
		}
		if res.GetOomKilled() != want || want && (res.GetSignal() != 9 || res.GetExitCode() != 137) {
			t.Errorf("%s: %v, want oom_killed %v", command, res, want)
		}
	}
}

func TestEveryWayTellsOfTheMemoryLimit(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil), Resources: &sandboxv1.ResourceLimits{MemoryBytes: 64 << 20}})
	hog := []string{"python3", "-c", "x = bytearray(200 << 20)"}
	req := &sandboxv1.ExecRequest{SandboxId: sb}
	for _, a := range hog {
		req.Argv = append(req.Argv, []byte(a))
	}
	stream, err := b.ExecStream(ctxOf(t), req)
	if err != nil {
		t.Fatal(err)
	}
	_, exit, err := collect(stream)
	if err != nil {
		t.Fatal(err)
	}
	for name, exit := range map[string]*sandboxv1.ExecExit{
		"stream":   exit,
		"terminal": b.sit(ctxOf(t), sb, hog...).exit(),
		"process":  b.ended(b.spawn(&sandboxv1.SpawnRequest{Exec: req})),
	} {
		if !exit.GetOomKilled() || exit.GetSignal() != 9 || exit.GetExitCode() != 137 {
			t.Errorf("%s: %v, want a kill by the memory limit", name, exit)
		}
	}
}

// hoard keeps memory in whatever outlives the processes of a sandbox.
const hoard = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def until_full(step):
    n = 0
    while n < 1 << 20 and step(n):
        n += 1
    return n
def segment(n):
    id = libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600)
    if id < 0:
        return False
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(id, None, 0)
    ctypes.memset(at, 1, 1 << 20)
    libc.shmdt(ctypes.c_void_p(at))
    return True
def queue(n):
    id = libc.msgget(0, 0o1600)
    if id < 0:
        return False
    while libc.msgsnd(id, (ctypes.c_long * 1)(1), ctypes.c_size_t(0), 0o4000) == 0:
        pass
    return True
def file(n):
    try:
        os.close(os.open("/tmp/" + "%0250d" % n, os.O_CREAT | os.O_WRONLY))
        return True
    except OSError:
        return False
def data(n):
    try:
        with open("/dev/shm/big", "ab", 0) as f:
            return f.write(b"x" * 65536) == 65536
    except OSError:
        return False
print("hoarded", until_full(segment), until_full(queue), until_full(lambda n: libc.semget(0, 100, 0o1600) >= 0), until_full(data), until_full(file))
`

func TestHoardedMemoryLeavesRoom(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"hoard.py": hoard})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: preset(t, "development"), Resources: &sandboxv1.ResourceLimits{MemoryBytes: 64 << 20}})
	res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "python3 hoard.py"})
	if err != nil || res.GetOomKilled() || !strings.HasPrefix(res.GetStdout(), "hoarded ") {
		t.Errorf("filling all that stays: %v, %v", res, err)
	}
	t.Log(res.GetStdout())
	for range 3 {
		b.run(sb, "python3 -c 'print(1)'")
		res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "exec python3 -c 'x = bytearray(200 << 20)'"})
		if err != nil || !res.GetOomKilled() {
			t.Errorf("a command that takes too much beside it: %v, %v", res, err)
		}
	}
	b.run(sb, "rm /tmp/0* /dev/shm/big; dd if=/dev/zero of=/tmp/big bs=1M count=20")
}
