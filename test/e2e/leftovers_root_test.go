//go:build root

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkNothingLeft fails if something that belongs to the daemon in dir is
// still there: processes that hold its directory or whose command names it,
// mounts, cgroups.
func checkNothingLeft(t testing.TB, dir string) {
	t.Helper()
	var left []string
	for range 100 { // the kernel takes mounts down a moment after the processes
		if left = leftovers(dir); len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("left behind: %s", strings.Join(left, "; "))
}

func leftovers(dir string) []string {
	var left []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		if b, err := os.ReadFile(p + "/mountinfo"); err == nil && strings.Contains(string(b), dir) {
			left = append(left, "mount in the namespace of "+p)
		}
		if b, err := os.ReadFile(p + "/cmdline"); err == nil && strings.Contains(string(b), dir) {
			left = append(left, "process "+p)
		}
		exe, _ := os.Readlink(p + "/exe")
		if root, err := os.Readlink(p + "/cwd"); err == nil && strings.HasPrefix(root, dir) {
			left = append(left, "process in the directory: "+p+" "+exe)
		}
	}
	return left
}

// groups returns the daemon's sandboxes that have cgroups. Other daemons have
// theirs: packages are tested at the same time.
func (d *daemon) groups() []string {
	sum := sha256.Sum256([]byte(d.dir + "/state"))
	own := "/agentfense/d" + hex.EncodeToString(sum[:6]) + "/sb_*"
	found := map[string]bool{}
	for _, pattern := range []string{"/sys/fs/cgroup" + own, "/sys/fs/cgroup/*" + own} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			found[filepath.Base(p)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// openFiles counts the open descriptors of a process.
func openFiles(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
