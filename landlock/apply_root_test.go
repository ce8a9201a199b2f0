//go:build root

package landlock

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRulesHoldOnOverlayAndBinds checks that rules made for the paths of an
// overlay and of a directory bound over itself are the ones that count, and
// those on what lies below are not.
func TestRulesHoldOnOverlayAndBinds(t *testing.T) {
	abi := haveABI(t)
	if abi == 0 {
		t.Fatal("the kernel has no Landlock")
	}
	dir := t.TempDir()
	sub := func(p ...string) string { return filepath.Join(append([]string{dir}, p...)...) }
	for _, d := range []string{"lower/out/d", "lower/src", "upper", "work", "workspace"} {
		if err := os.MkdirAll(sub(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"lower/out/f", "lower/src/f", "lower/src/single"} {
		if err := os.WriteFile(sub(f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set, _ := Compile(Request{Writable: []string{"/out"}, Files: []string{"/src/single"}}, abi)
	set = below(t, dir, set)
	merged := sub("workspace")
	out := child(t, task{
		Lower: sub("lower"), Upper: sub("upper"), Work: sub("work"), Merged: merged, Bind: sub("workspace/out"),
		Ruleset: set,
		Steps: []step{
			{Do: "write", Path: merged + "/out/f"},
			{Do: "create", Path: merged + "/out/new"},
			{Do: "rename", Path: merged + "/out/f", To: merged + "/out/d/f"},
			{Do: "write", Path: merged + "/src/single"},
			{Do: "write", Path: merged + "/src/f"},
			{Do: "create", Path: merged + "/src/new"},
			{Do: "create", Path: sub("upper/new")},
			{Do: "create", Path: sub("lower/out/new")},
		},
	}, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
	want := []syscall.Errno{0, 0, 0, 0, syscall.EACCES, syscall.EACCES, syscall.EACCES, syscall.EACCES}
	if out.Failed != "" || len(out.Errnos) != len(want) {
		t.Fatalf("child: %+v", out)
	}
	for i := range want {
		if out.Errnos[i] != want[i] {
			t.Errorf("step %d = %v, want %v", i, out.Errnos[i], want[i])
		}
	}
}
