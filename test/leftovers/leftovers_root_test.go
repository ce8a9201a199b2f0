//go:build root

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	goebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A leftover of every kind is made, must be named, and is taken away again.
func TestEveryLeftoverIsNamed(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before, err := take()
	if err != nil {
		t.Fatal(err)
	}
	name := "agentfense-leftover-" + filepath.Base(filepath.Dir(os.TempDir()))

	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)

	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleep.Process.Kill(); _ = sleep.Wait() }()

	group := cgroupDir(t, name)
	defer os.Remove(group)

	prog, err := goebpf.NewProgram(&goebpf.ProgramSpec{
		Name: "leftover", Type: goebpf.SocketFilter, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()

	file := filepath.Join(os.TempDir(), "anything")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	now, err := take()
	if err != nil {
		t.Fatal(err)
	}
	left := now.since(before)
	for _, want := range []string{"mount: " + dir, "process: ", "namespace: net:[", "cgroup: " + group, "bpf: program ", "file: " + file} {
		if !slices.ContainsFunc(left, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no %q among the leftovers:\n%s", want, strings.Join(left, "\n"))
		}
	}
}

func cgroupDir(t *testing.T, name string) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err == nil {
			return dir
		}
	}
	t.Fatal("cannot make a cgroup")
	return ""
}
