package api

import (
	"testing"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestInputOfProcessesIsBounded(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ask := func(command string) (*sandboxv1.Process, error) {
		return f.processes().Spawn(ctxOf(t), &sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{
			SandboxId: sb, Command: command, StdinBytes: make([]byte, maxOwnerInput/8),
		}})
	}
	var last *sandboxv1.Process
	for range 8 {
		var err error
		if last, err = ask("sleep 600"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := ask("true")
	if meta := wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded); meta["resource"] != "input-bytes-per-owner" {
		t.Errorf("metadata is %v", meta)
	}
	if _, err := f.processes().SignalProcess(ctxOf(t), &sandboxv1.SignalProcessRequest{ProcessId: last.GetId(), Signal: 9}); err != nil {
		t.Fatal(err)
	}
	f.until("room", func() bool { _, err := ask("true"); return err == nil })
}
