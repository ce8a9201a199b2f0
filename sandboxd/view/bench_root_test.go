//go:build root

package view

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// work is what agents do to a source tree; %s is the tree.
var work = []struct{ name, script string }{
	{"find", "find %s >/dev/null"},
	{"stat", "find %s -printf '%%s %%m\\n' >/dev/null"},
	{"ls", "ls -lR %s >/dev/null"},
	{"cat", "find %s -type f -print0 | xargs -0 cat | tail -c1 >/dev/null"},
	{"grep", "grep -r nosuchwordanywhere %s >/dev/null; true"},
}

// TestFigures prints how long the work takes, warm and cold, on a view and on
// a plain copy. It asserts nothing but that the work can be done; set
// AGENTFENSE_FIGURES to run it.
func TestFigures(t *testing.T) {
	source := os.Getenv("AGENTFENSE_FIGURES")
	if source == "" {
		source = filepath.Join("..", "..", "policy")
	}
	source, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	native := filepath.Join(w.dir, "native")
	if out, err := exec.Command("cp", "-a", source, native).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	w.copy(native, "")
	key := Key{w.snapshot(), compile(t, "**/*=read", "/output/**=write@10", "**/.git/**=none@50", "**/.env*=none@100", "**/secrets/**=none@100", "**/*.key=none@100", "**/*.pem=none@100", "**/credentials*=none@100"), sandboxID}
	for _, job := range work {
		began := time.Now()
		v := w.acquire(key)
		started := time.Since(began)
		dropCaches(t)
		cold := run(t, job.script, v.Path())
		warm := best(t, job.script, v.Path())
		memory := residentKiB(t, v.of.pid)
		v.Release()
		w.manager.expire(v.of)
		<-v.Done()
		dropCaches(t)
		nativeCold := run(t, job.script, native)
		nativeWarm := best(t, job.script, native)
		t.Logf("%-5s warm %7.1f ms, native %7.1f, %.2fx; cold %7.1f, native %7.1f, %.2fx; start %.1f ms, %d KiB", job.name,
			ms(warm), ms(nativeWarm), float64(warm)/float64(nativeWarm), ms(cold), ms(nativeCold), float64(cold)/float64(nativeCold), ms(started), memory)
	}
}

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
