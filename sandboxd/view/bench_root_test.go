//go:build root

package view

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
)

// work is what agents do to a source tree; %s is the tree.
var work = []struct{ name, script string }{
	{"find", "find %s >/dev/null"},
	{"stat", "find %s -printf '%%s %%m\\n' >/dev/null"},
	{"ls", "ls -lR %s >/dev/null"},
	{"cat", "find %s -type f -print0 | xargs -0 cat | tail -c1 >/dev/null"},
	{"grep", "grep -r nosuchwordanywhere %s >/dev/null; true"},
}

// TestFigures prints how long the work takes on a view and on a plain copy:
// warm, with everything in the kernel's caches; fresh, on a view that nobody
// has used while the store is cached; and cold. It asserts nothing but that the
// work can be done. AGENTFENSE_FIGURES names a large tree to do it on.
func TestFigures(t *testing.T) {
	w := newWorld(t)
	native := filepath.Join(w.dir, "native")
	if source := os.Getenv("AGENTFENSE_FIGURES"); source == "" {
		writeTree(t, native)
	} else if out, err := exec.Command("cp", "-a", source, native).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	w.copy(native, "")
	key := Key{w.snapshot(), agentSafe(t), sandboxID}
	for _, job := range work {
		v := w.acquire(key)
		dropCaches(t)
		cold := run(t, job.script, v.Path())
		warm := best(t, job.script, v.Path())
		w.end(v)
		v = w.acquire(key)
		fresh := run(t, job.script, v.Path())
		memory := residentKiB(t, v.of.pid)
		w.end(v)
		dropCaches(t)
		nativeCold := run(t, job.script, native)
		nativeWarm := best(t, job.script, native)
		t.Logf("%-5s native %6.0f ms warm, %6.0f cold; view %6.0f warm (%.2fx), %6.0f fresh (%.2fx), %6.0f cold (%.2fx); %d KiB", job.name,
			ms(nativeWarm), ms(nativeCold), ms(warm), ratio(warm, nativeWarm), ms(fresh), ratio(fresh, nativeWarm),
			ms(cold), ratio(cold, nativeCold), memory)
	}
}

// writeTree makes a tree that is large enough to look at.
func writeTree(t *testing.T, dir string) {
	t.Helper()
	for i := range 200 {
		path := filepath.Join(dir, fmt.Sprintf("dir%d", i%20), fmt.Sprintf("file%d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("some text\n", i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// end unmounts a view that is in nobody else's use.
func (w *world) end(v *View) {
	v.Release()
	w.manager.expire(v.of)
	<-v.Done()
}

func agentSafe(t *testing.T) *policy.Policy {
	t.Helper()
	rules, err := policy.Preset("agent-safe")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func run(t *testing.T, script, dir string) time.Duration {
	t.Helper()
	began := time.Now()
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(script, dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return time.Since(began)
}

func best(t *testing.T, script, dir string) time.Duration {
	t.Helper()
	shortest := time.Hour
	for range 5 {
		shortest = min(shortest, run(t, script, dir))
	}
	return shortest
}

// dropCaches empties the kernel's caches where that is allowed.
func dropCaches(t *testing.T) {
	t.Helper()
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Logf("caches stay warm: %v", err)
	}
}
