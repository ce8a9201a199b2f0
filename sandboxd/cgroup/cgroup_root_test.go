//go:build root

package cgroup

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func open(t *testing.T, name string) *Tree {
	t.Helper()
	tree, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestGroupsLeaveNothing(t *testing.T) {
	tree := open(t, "test-"+rand.Text())
	g, err := tree.New("sb_1", runtime.Limits{Memory: 64 << 20, CPUQuota: 50_000, CPUShares: 512, Pids: 10})
	if err != nil {
		t.Fatal(err)
	}
	if kills, err := g.OOMKills(); kills != 0 || err != nil {
		t.Errorf("OOMKills() = %d, %v", kills, err)
	}
	if err := g.Delete(); err != nil {
		t.Error(err)
	}
	if left, err := tree.Sweep(); len(left) != 0 || err != nil {
		t.Errorf("Sweep() = %v, %v, want nothing", left, err)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
}

func TestSweepEndsWhatAPredecessorLeft(t *testing.T) {
	name := "test-" + rand.Text()
	g, err := open(t, name).New("sb_1", runtime.Limits{Memory: 64 << 20, Pids: 10})
	if err != nil {
		t.Fatal(err)
	}
	c := enter(t, g)
	tree := open(t, name)
	if left, err := tree.Sweep(); err != nil || len(left) != 1 || left[0] != "sb_1" {
		t.Errorf("Sweep() = %v, %v, want sb_1", left, err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want SIGKILL", err)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
}

func TestAllSandboxesTogetherWeighLessThanTheDaemon(t *testing.T) {
	tree := open(t, "test-"+rand.Text())
	g, err := tree.New("sb_1", runtime.Limits{Pids: 10})
	if err != nil {
		t.Fatal(err)
	}
	file, usual := "cpu/"+parent+"/cpu.shares", 1024
	if host.HaveCgroups().Version == 2 {
		file, usual = parent+"/cpu.weight", 100
	}
	// While another daemon lets all of them go last they have no weight.
	comesUp(t, file+" is the weight of what is nicer", func() bool {
		if tree.yielder.all.isIdle() {
			if err := tree.yielder.all.setIdle(false); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(host.CgroupRoot + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil && got < usual && got >= usual/4
	})
	if err := g.Delete(); err != nil {
		t.Error(err)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
}

// enter starts a process in the group.
func enter(t *testing.T, g Group) *exec.Cmd {
	t.Helper()
	return enterWith(t, g, "exec sleep 60")
}

// enterWith starts a shell command there.
func enterWith(t *testing.T, g Group, command string) *exec.Cmd {
	t.Helper()
	c := exec.Command("sh", "-c", "for fd in 3 4 5 6; do echo 0 >&$fd; done 2>/dev/null; echo; "+command)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = g.Tasks()
	if dir := g.Dir(); dir != nil {
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}
