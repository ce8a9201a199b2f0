//go:build root

package cgroup

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	limits "github.com/agentfense/agentfense/sandboxd/runtime"
)

func TestABusyGroupGoesLast(t *testing.T) {
	tree := open(t, "test-"+rand.Text())
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- tree.Run(ctx) }()

	loops := "for n in $(seq " + strconv.Itoa(2*runtime.NumCPU()) + "); do while :; do :; done & done; wait"
	busy := loaded(t, tree, limits.Limits{Pids: 1000, CPUQuota: 50_000}, loops)
	greedy := loaded(t, tree, limits.Limits{Pids: 1000}, loops)
	comesUp(t, "what is busy goes last", busy.isIdle)
	comesUp(t, "what takes most of the machine goes last", greedy.isIdle)
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run() = %v", err)
	}
	for name, c := range map[string]*cpu{"one group": greedy, "all of them": tree.yielder.all} {
		if c.isIdle() {
			t.Errorf("%s: it goes last, with nobody to change that", name)
		}
	}
	if _, err := tree.Sweep(); err != nil {
		t.Error(err)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
}

// loaded returns a new group in which a shell command runs.
func loaded(t *testing.T, tree *Tree, l limits.Limits, command string) *cpu {
	t.Helper()
	g, err := tree.New("sb_"+rand.Text(), l)
	if err != nil {
		t.Fatal(err)
	}
	c := enterWith(t, g, command)
	t.Cleanup(func() { _ = c.Wait() }) // killed by Sweep
	return g.(*member).cpu
}

func comesUp(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so within 30 s: %s", what)
		}
	}
}

func (c *cpu) reads(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAGroupThatNoLongerGoesLastHasItsWeight(t *testing.T) {
	tree := open(t, "test-"+rand.Text())
	g, err := tree.New("sb_1", limits.Limits{Pids: 10, CPUShares: 512})
	if err != nil {
		t.Fatal(err)
	}
	files := g.(*member).cpu
	before := files.reads(t, files.file)
	for _, on := range []bool{true, false} {
		if err := files.setIdle(on); err != nil || files.isIdle() != on {
			t.Errorf("setIdle(%v) = %v, and is %v", on, err, files.isIdle())
		}
	}
	if after := files.reads(t, files.file); after != before {
		t.Errorf("the weight is %q, want %q", after, before)
	}
	// Another daemon may have let all of them go last when a sandbox begins.
	if err := tree.yielder.all.setIdle(true); err != nil {
		t.Fatal(err)
	}
	other, err := tree.New("sb_2", limits.Limits{Pids: 10})
	if err != nil {
		t.Errorf("New() beside groups that go last: %v", err)
	}
	if err := tree.yielder.all.setIdle(false); err != nil {
		t.Error(err)
	}
	for _, g := range []Group{g, other} {
		if err := g.Delete(); err != nil {
			t.Error(err)
		}
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
}
