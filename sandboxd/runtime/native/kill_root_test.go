//go:build root

package native

import (
	"syscall"
	"testing"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func TestKilledRunnerEndsItsCommandOnly(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	long, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"/bin/sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	_, s := run(t, i, "sleep 0.3; kill -9 $PPID; sleep 60", 10*time.Second) // not before it is known to run
	if s.Signal != syscall.SIGKILL || s.TimedOut {
		t.Errorf("status of the runner's command = %+v, want SIGKILL", s)
	}
	for range 20 { // nor these, some of them
		_, s := run(t, i, "echo >>/tmp/ran; setsid sleep 600 & kill -9 $PPID; exec sleep 600", 10*time.Second)
		if s.Signal != syscall.SIGKILL || s.TimedOut {
			t.Errorf("status of a command that killed its runner = %+v, want SIGKILL", s)
		}
	}
	if out, _ := run(t, i, "wc -l </tmp/ran; pgrep -c sleep", 10*time.Second); out != "20\n1\n" {
		t.Errorf("20 commands ran, and left with another, %q times and processes", out)
	}
	for range 3 { // some of them before the runner can say that they run
		if out, _ := run(t, i, "kill -STOP $PPID; sleep 60", time.Second); out != "" {
			t.Errorf("command that stopped its runner said %q", out)
		}
	}
	if err := long.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := long.Wait(t.Context()); err != nil {
		t.Errorf("Wait() of the other command = %v", err)
	}
}

// On a busy host a worker may wait for a CPU for seconds, as one does that is
// stopped. That is no reason to end a sandbox.
func TestAWorkerMayTakeSecondsToKill(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	p, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"/bin/sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	worker := i.(*Instance).leader.(child)
	if err := worker.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-i.Done():
		t.Fatalf("the sandbox has ended: %v", i.Reason())
	case <-time.After(6 * time.Second):
	}
	if err := worker.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Wait(t.Context()); err != nil || s.Signal != syscall.SIGKILL {
		t.Errorf("Wait() = %+v, %v, want SIGKILL", s, err)
	}
	if out, _ := run(t, i, "echo alive", 10*time.Second); out != "alive\n" {
		t.Errorf("after that: %q", out)
	}
}
