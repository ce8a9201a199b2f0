//go:build docker

package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// failure is the code, the reason and the message of an error.
func failure(err error) (codes.Code, string, string) {
	st := status.Convert(err)
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return st.Code(), info.GetReason(), st.Message()
		}
	}
	return st.Code(), "", st.Message()
}

func TestWhatASandboxIs(t *testing.T) {
	d := start(t)
	id := d.open(d.request(d.ingest(), image))
	for command, want := range map[string]string{
		"python3 main.py":                    "hi",
		"ls -A":                              "main.py\noutput\nsrc\ntmp",
		"cat .env":                           "cat: .env: No such file or directory",
		"echo x > /output/x && cat output/x": "x",
		"echo x 2>&1 > main.py":              "/bin/bash: line 1: main.py: Read-only file system",
		"echo x 2>&1 > /usr/bin/x":           "/bin/bash: line 1: /usr/bin/x: Read-only file system",
		"id -un; hostname 2>/dev/null || cat /etc/hostname":             "agent\nsandbox",
		"cat /proc/1/cgroup | cut -d: -f3 | sort -u":                    "/",
		"grep -E 'CapBnd|CapPrm|CapEff' /proc/self/status|cut -f2|uniq": "0000000000000000",
		"grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | cut -f2":  "1\n2",
		"ls /proc/1/fd":                                            "ls: cannot open directory '/proc/1/fd': Permission denied",
		"ls -d /sys/* /.dockerenv 2>/dev/null":                     "/.dockerenv",
		"ls -A / | grep -c ^[.][a-z0-9]*$":                         "1",
		"cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '": "lo",
		"cat /proc/cmdline /etc/resolv.conf":                       "",
	} {
		if got, _ := d.sh(id, command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	mounts, _ := d.sh(id, "cat /proc/self/mountinfo /proc/self/mounts")
	for _, host := range []string{d.dir, dock.dir, "overlay2", "/docker", "containers"} {
		if strings.Contains(mounts, host) {
			t.Errorf("mounts tell of %s:\n%s", host, mounts)
		}
	}
	diff, err := d.Diff(bound(t), &sandboxv1.DiffRequest{SandboxId: id})
	if err != nil || len(diff.GetChanges()) == 0 || string(diff.GetChanges()[len(diff.GetChanges())-1].GetPath()) != "/output/x" {
		t.Errorf("the delta is %v, %v", diff, err)
	}
	d.destroy(id)
	if left := dock.containers(t); len(left) > 0 {
		t.Errorf("containers are left: %v", left)
	}
}

// What the filter and Landlock refuse natively they refuse here, although the
// engine was told to apply no filter.
func TestFilterAndLandlockHold(t *testing.T) {
	d := start(t)
	id := d.open(d.request(d.ingest(), image))
	const try = `
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    libc.syscall(*args)
    print(name, errno.errorcode.get(ctypes.get_errno(), 0))
call("mount", 165, 0, 0, 0, 0, 0)
call("unshare", 272, 0x10000000)
call("bpf", 321, 0, 0, 0)
call("io_uring_setup", 425, 1, 0)
call("keyctl", 250, 0, 0, 0)
call("ptrace", 101, 16, 1, 0, 0)
call("open_tree", 428, -100, b"/", 1)
call("getpid", 39)
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
except OSError as e:
    print("packet", errno.errorcode[e.errno])
try:
    socket.create_connection(("1.1.1.1", 53), 2)
except OSError as e:
    print("connect", errno.errorcode[e.errno])
for path in "/home/x", "/tmp/x", "/dev/shm/x", "/workspace/output/x", "/run/x", "/dev/x":
    try:
        open(path, "w")
        print(path)
    except OSError as e:
        print(path, errno.errorcode[e.errno])
`
	const want = `mount EPERM
unshare EPERM
bpf EPERM
io_uring_setup ENOSYS
keyctl EPERM
ptrace EPERM
open_tree ENOSYS
getpid 0
packet EPERM
connect ENETUNREACH
/home/x EROFS
/tmp/x
/dev/shm/x
/workspace/output/x
/run/x EROFS
/dev/x EROFS`
	r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: id, Argv: [][]byte{[]byte("python3"), []byte("-c"), []byte(try)}})
	if err != nil {
		t.Fatal(err)
	}
	native := d.request(d.ingest(), "")
	native.Runtime = sandboxv1.RuntimeType_RUNTIME_TYPE_BWRAP
	other, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: d.open(native), Argv: [][]byte{[]byte("python3"), []byte("-c"), []byte(try)}})
	if err != nil {
		t.Fatal(err)
	}
	if r.GetStdout() != other.GetStdout() {
		t.Errorf("a container answers\n%s\na native sandbox\n%s", r.GetStdout(), other.GetStdout())
	}
	if got := strings.TrimSpace(r.GetStdout()); got != want {
		t.Errorf("got\n%s\nwant\n%s\n%s", got, want, r.GetStderr())
	}
}

const forkMany = `
import os, signal
children = []
try:
    for _ in range(60):
        children.append(os.fork() or signal.pause())
except OSError as e:
    print(e.strerror)
for child in children:
    os.kill(child, signal.SIGKILL)
`

func TestLimitsBite(t *testing.T) {
	d := start(t)
	req := d.request(d.ingest(), image)
	req.Resources = &sandboxv1.ResourceLimits{MemoryBytes: 128 << 20, PidsLimit: 20, CpuQuota: 50_000}
	id := d.open(req)
	list, err := dock.ContainerList(t.Context(), client.ContainerListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	found, err := dock.ContainerInspect(t.Context(), list.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if h := found.Container.HostConfig; h.Memory != 128<<20 || h.MemorySwap != h.Memory || *h.PidsLimit < 20 || *h.PidsLimit > 60 || h.CPUQuota != 50_000 {
		t.Errorf("the engine's limits are %+v", h.Resources)
	}
	sockets, err := os.ReadFile("/sys/fs/cgroup/memory" + dock.parent + "/" + found.Container.ID + "/memory.kmem.tcp.limit_in_bytes")
	if v1 := !errors.Is(err, os.ErrNotExist); v1 && strings.TrimSpace(string(sockets)) != strconv.Itoa(128<<20/8) {
		t.Errorf("buffers of sockets may take %q, %v", sockets, err)
	}
	_, eater := d.sh(id, "python3 -c 'x = bytearray(500 << 20)'")
	if !eater.GetOomKilled() {
		t.Errorf("a command that eats memory ended with %v", eater)
	}
	forks, _ := d.sh(id, "python3 -c '"+forkMany+"'")
	if !strings.Contains(forks, "Resource temporarily unavailable") {
		t.Errorf("60 processes could be started: %s", forks)
	}
	if alive, _ := d.sh(id, "echo alive"); alive != "alive" {
		t.Errorf("the sandbox says %q", alive)
	}
}

// The worker of a container has nothing open that its sandbox should not reach,
// and its program is not the engine's to change.
func TestWorkerHoldsNothing(t *testing.T) {
	d := start(t)
	d.sh(d.open(d.request(d.ingest(), image)), "true") // its set-up is over
	list, err := dock.ContainerList(t.Context(), client.ContainerListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	found, err := dock.ContainerInspect(t.Context(), list.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", found.Container.State.Pid)
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, fd := range fds {
		to, _ := os.Readlink(proc + "fd/" + fd.Name())
		to, _, _ = strings.Cut(to, ":[")
		open = append(open, to)
	}
	slices.Sort(open)
	for _, to := range slices.Compact(open) {
		switch to {
		case "/dev/null", "socket", "/memfd:agentfense-worker (deleted)", "anon_inode:[eventpoll]", "anon_inode:[eventfd]",
			"anon_inode:seccomp notify", "anon_inode:[signalfd]", "pipe":
		default:
			t.Errorf("the worker holds %s of %v", to, open)
		}
	}
	if exe, _ := os.Readlink(proc + "exe"); exe != "/memfd:agentfense-worker (deleted)" {
		t.Errorf("the worker is %s", exe)
	}
	if entries, _ := filepath.Glob(d.dir + "/state/containers/sb_*"); len(entries) > 0 {
		t.Errorf("the worker's directory is still there: %v", entries)
	}
}

func TestErrorsNameWhatIsMissing(t *testing.T) {
	d := start(t)
	cb := d.ingest()
	for name, tt := range map[string]struct {
		image  string
		code   codes.Code
		reason string
		says   string
	}{
		"no image":           {"", codes.InvalidArgument, "INVALID_FIELD", "needs an image"},
		"an option":          {"--privileged", codes.InvalidArgument, "INVALID_FIELD", "not the name of an image"},
		"a path":             {"../../containers/json", codes.InvalidArgument, "INVALID_FIELD", "not the name of an image"},
		"a query":            {"a?b=c", codes.InvalidArgument, "INVALID_FIELD", "not the name of an image"},
		"a command":          {"$(reboot)", codes.InvalidArgument, "INVALID_FIELD", "not the name of an image"},
		"two words":          {"a b", codes.InvalidArgument, "INVALID_FIELD", "not the name of an image"},
		"capital letters":    {"Python:3", codes.InvalidArgument, "INVALID_FIELD", "not the name of an image"},
		"an unknown digest":  {"sha256:" + strings.Repeat("0", 64), codes.FailedPrecondition, "IMAGE_UNAVAILABLE", "No such image"},
		"an unknown image":   {"127.0.0.1:1/nobody/nothing:9", codes.FailedPrecondition, "IMAGE_UNAVAILABLE", "cannot be pulled"},
		"one with a NUL":     {"a\x00b", codes.InvalidArgument, "INVALID_FIELD", "image"},
		"one of 300 letters": {strings.Repeat("a", 300), codes.InvalidArgument, "INVALID_FIELD", "image"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.CreateSandbox(bound(t), d.request(cb, tt.image))
			code, reason, message := failure(err)
			if code != tt.code || reason != tt.reason || !strings.Contains(message, tt.says) {
				t.Errorf("got %v %s: %s", code, reason, message)
			}
		})
	}
	if left := dock.containers(t); len(left) > 0 {
		t.Errorf("containers are left: %v", left)
	}
}

func TestManyAtOnce(t *testing.T) {
	d := start(t)
	cb := d.ingest()
	ids := make(chan string)
	const n = 8
	for range n {
		go func() {
			sb, err := d.CreateSandbox(bound(t), d.request(cb, image))
			if err != nil {
				t.Error(err)
			}
			ids <- sb.GetId()
		}()
	}
	for range n {
		id := <-ids
		if said, _ := d.sh(id, "python3 main.py"); said != "hi" {
			t.Errorf("%s said %q", id, said)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	d.stop()
	t.Logf("%d ended in %v", n, time.Since(began))
	for len(dock.containers(t)) > 0 && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	if left := dock.containers(t); len(left) > 0 {
		t.Errorf("containers are left: %v", left)
	}
}
