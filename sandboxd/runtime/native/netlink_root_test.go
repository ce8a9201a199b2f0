//go:build root

package native

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// netlinks makes sockets until there are no more, and says why and how many
// there were, in one process, then in many at once.
const netlinks = `import errno, os, socket, sys
def make(kind=socket.SOCK_RAW): return socket.socket(socket.AF_NETLINK, kind, 0)
def fill():
    held = []
    try:
        while len(held) < 500: held.append(make())
    except OSError as e: return held, errno.errorcode[e.errno]
    return held, "nothing"
held, why = fill()
print(len(held), why)
held.pop()
held.append(make())
del held
r, w = os.pipe()
hold, release = os.pipe()
for _ in range(20):
    if os.fork() == 0:
        held, _ = fill()
        os.write(w, bytes([len(held)]))
        os.close(release)
        os.read(hold, 1)
        os._exit(0)
print(sum(os.read(r, 1)[0] for _ in range(20)))
os.close(release)
while True:
    try: os.wait()
    except ChildProcessError: break
print([name for _, name in socket.if_nameindex()])
s = make(socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
try: s.recv(1)
except BlockingIOError: print("nonblocking", os.get_inheritable(s.fileno()))
try: make(socket.SOCK_SEQPACKET)
except OSError as e: print(errno.errorcode[e.errno])`

// TestNetlinkSocketsAreFew: their buffers are counted in no memory limit.
func TestNetlinkSocketsAreFew(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	out, _ := run(t, i, "exec python3 -c '"+netlinks+"' 2>&1", time.Minute)
	most := strconv.Itoa(worker.MaxNetlink)
	want := fmt.Sprintf("%s ENOBUFS\n%s\n['lo']\nnonblocking False\nESOCKTNOSUPPORT\n", most, most)
	if out != want {
		t.Errorf("said %q, want %q", out, want)
	}
	// A caller that is killed while it waits, and one that comes after it.
	flood := "for i in $(seq 10); do timeout -s KILL 0.05 python3 -c 'import socket\nwhile 1: socket.socket(16, 3, 0)' & done; wait; exec python3 -c 'import socket; print(socket.if_nameindex())'"
	if out, _ := run(t, i, strings.ReplaceAll(flood, "\\n", "\n")+" 2>&1", time.Minute); !strings.HasSuffix(out, "[(1, 'lo')]\n") {
		t.Errorf("after killed callers: %q", out)
	}
}
