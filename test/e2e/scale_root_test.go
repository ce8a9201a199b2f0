//go:build root

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// resident is the memory of a process, in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestHundredSandboxesAtOnce(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{"a.txt": "a", ".env": "s"})
	cb, _ := d.ingest(dir, nil)
	perms := rules(t, "agent-safe")
	warm := d.open(cb, perms, nil)
	warm.expect("cat a.txt", "a")
	before := openFiles(t, d.pid())
	var wg sync.WaitGroup
	boxes := make([]*box, 100)
	for n := range boxes {
		wg.Go(func() {
			boxes[n] = d.open(cb, perms, nil)
			boxes[n].works(fmt.Sprintf("echo %d > /output/mine && cat a.txt", n))
		})
	}
	wg.Wait()
	for n, b := range boxes {
		wg.Go(func() {
			b.expect("cat /output/mine; ls /output | wc -l", fmt.Sprintf("%d\n1\n", n))
			b.destroy()
		})
	}
	wg.Wait()
	warm.expect("ls /output", "")
	if got := d.settle(before); got > before {
		t.Errorf("the daemon has %d descriptors open, %d before", got, before)
	}
	if left := len(d.groups()); left != 1 {
		t.Errorf("%d sandboxes have cgroups, want the warm one", left)
	}
}

// settle waits for descriptors to be closed, down to want, and returns how many
// are open.
func (d *daemon) settle(want int) int {
	got := openFiles(d.t, d.pid())
	for range 100 {
		if got <= want {
			break
		}
		time.Sleep(20 * time.Millisecond)
		got = openFiles(d.t, d.pid())
	}
	return got
}

func TestThousandSandboxesInTurn(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{"a.txt": "a"})
	cb, _ := d.ingest(dir, nil)
	perms := rules(t, "agent-safe")
	turn := func() {
		b := d.open(cb, perms, nil)
		b.expect("cat a.txt", "a")
		b.destroy()
	}
	for range 20 {
		turn()
	}
	files, memory := d.settle(0), resident(t, d.pid())
	for range 1000 {
		turn()
	}
	if got := d.settle(files); got > files+2 {
		t.Errorf("descriptors: %d before, %d after a thousand sandboxes", files, got)
	}
	if got := resident(t, d.pid()); got > memory+(32<<20) {
		t.Errorf("memory: %d KiB before, %d KiB after a thousand sandboxes", memory>>10, got>>10)
	}
	if left := d.groups(); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
	entries, err := os.ReadDir(d.dir + "/state/sandboxes")
	if err != nil || len(entries) > 0 {
		t.Errorf("state left: %v, %v", entries, err)
	}
}

func TestCrashLosesNoCodebaseAndLeavesNoOrphan(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{"a.txt": "a"})
	cb, _ := d.ingest(dir, nil)
	var boxes []*box
	for range 5 {
		b := d.open(cb, rules(t, "development"), nil)
		b.works("setsid sleep 3600 > /dev/null 2>&1 & echo kept > kept.txt")
		boxes = append(boxes, b)
	}
	d.crash()
	checkNothingRuns(t)
	d.launch()
	if got, err := d.codebase.GetCodebase(t.Context(), &sandboxv1.GetCodebaseRequest{CodebaseId: cb.GetId()}); err != nil || got.GetFileCount() != 1 {
		t.Errorf("GetCodebase() = %v, %v", got, err)
	}
	for _, b := range boxes {
		b.d = d
		sb, err := d.sandbox.GetSandbox(t.Context(), &sandboxv1.GetSandboxRequest{SandboxId: b.id})
		if err != nil || sb.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_STOPPED {
			t.Fatalf("GetSandbox() = %v, %v, want STOPPED", sb, err)
		}
	}
	if _, err := d.sandbox.StartSandbox(t.Context(), &sandboxv1.StartSandboxRequest{SandboxId: boxes[0].id}); err != nil {
		t.Fatal(err)
	}
	boxes[0].expect("cat kept.txt a.txt", "kept\na")
	for _, b := range boxes {
		b.destroy()
	}
}

// checkNothingRuns fails if a worker is still there a second after its daemon
// was killed.
func checkNothingRuns(t *testing.T) {
	t.Helper()
	var out string
	for range 50 {
		if out = shell(t, "/", "pgrep -a -x sleep | grep 3600 || true"); out == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("processes outlive the daemon:\n%s", out)
}

func TestStopWithSandboxesRunning(t *testing.T) {
	d := start(t)
	cb, _ := d.ingest(tree(t, map[string]string{"a": "a"}), nil)
	b := d.open(cb, rules(t, "development"), nil)
	stream, err := d.sandbox.ExecStream(context.Background(), &sandboxv1.ExecRequest{SandboxId: b.id, Command: "trap '' TERM INT HUP; while :; do echo x; sleep 0.01; done"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || !strings.HasPrefix(string(m.GetData()), "x") {
		t.Fatalf("Recv() = %v, %v", m, err)
	}
	d.stop()
}
