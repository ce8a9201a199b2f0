//go:build root

package native

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// burn keeps two processes busy and prints how many CPUs they had.
const burn = `import os, time
began = time.monotonic()
for _ in range(2):
    if os.fork() == 0:
        while time.monotonic() - began < 2: pass
        os._exit(0)
os.wait(), os.wait()
t = os.times()
print((t.children_user + t.children_system) / (time.monotonic() - began))`

// bomb starts processes that stay until no more can start, and says why.
const bomb = `import os
kids = []
try:
    while len(kids) < 100:
        kids.append(os.posix_spawn("/usr/bin/sleep", ["sleep", "600"], {}))
except OSError as e:
    print(len(kids), e.strerror)
for kid in kids:
    os.kill(kid, 9)`

func TestLimitsHold(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{Memory: 64 << 20, Pids: 32, CPUQuota: 50_000})
	_, s := run(t, i, "python3 -c 'x=bytearray(200<<20)'", 0)
	if !s.OOM || s.Signal != syscall.SIGKILL {
		t.Errorf("memory hog: %+v, want an OOM kill", s)
	}
	out, _ := run(t, i, "python3 -c '"+bomb+"'", time.Minute)
	if !strings.Contains(out, "Resource temporarily unavailable") {
		t.Errorf("fork bomb said %q", out)
	}
	out, _ = run(t, i, "python3 -c '"+burn+"'", time.Minute)
	if cpus, err := strconv.ParseFloat(strings.TrimSpace(out), 64); err != nil || cpus > 0.75 {
		t.Errorf("busy loops had %q CPUs, %v, want half of one", out, err)
	}
	if out, _ := run(t, i, "echo alive", 0); out != "alive\n" {
		t.Errorf("after the attacks: %q", out)
	}
}

func TestFullOfProcessesTheSandboxLives(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	for _, pids := range []int64{1, 8, 20, 64} {
		i := b.start(policy.Plan{}, runtime.Limits{Pids: pids})
		p, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"/usr/bin/python3", "-c", "import os,time\nwhile 1:\n try:\n  if os.fork() == 0: time.sleep(60)\n except OSError: time.sleep(0.1)"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		for range 5 {
			q, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"/bin/true"}})
			if err == nil {
				_, err = q.Wait(t.Context())
			}
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				t.Fatalf("pids %d: Exec() = %v, %v, want EAGAIN or nothing", pids, err, i.Reason())
			}
		}
		if _, err := i.Open(t.Context(), "/workspace/a", os.O_RDONLY, 0); err != nil {
			t.Errorf("pids %d: Open() = %v", pids, err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out, s := run(t, i, "echo alive", 0); out != "alive\n" {
			t.Errorf("pids %d: afterwards: %q, %+v", pids, out, s)
		}
	}
}

func TestForkBombDiesByTimeout(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{Pids: 256})
	_, s := run(t, i, ":(){ :|:& };:; sleep 60", time.Second)
	if !s.TimedOut {
		t.Errorf("status %+v", s)
	}
	if out, _ := run(t, i, "echo alive", 0); out != "alive\n" {
		t.Errorf("after the bomb: %q", out)
	}
}

// unread fills the buffers of many sockets, and says how much they held.
const unread = `import socket
out, held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
for _ in range(900):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.setblocking(False)
    held.append(s)
    for _ in range(4):
        out.sendto(bytes(60000), s.getsockname())
n = 0
for s in held:
    try:
        while True: n += len(s.recv(60000))
    except BlockingIOError: pass
print(n)`

func TestSocketBuffersEndAtTheMemoryLimit(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	const memory = 64 << 20
	i := b.start(policy.Plan{}, runtime.Limits{Memory: memory})
	out, s := run(t, i, "exec python3 -c '"+unread+"'", time.Minute)
	if held, err := strconv.Atoi(strings.TrimSpace(out)); !s.OOM && (err != nil || held > memory) {
		t.Errorf("sockets held %q bytes, %+v, want %d at most", out, s, memory)
	}
	if out, _ := run(t, i, "echo alive", 0); out != "alive\n" {
		t.Errorf("afterwards: %q", out)
	}
}
