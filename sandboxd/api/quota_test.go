package api

import (
	"os"
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

func TestOutputForAnswersIsBounded(t *testing.T) {
	const most, each = 100_000, 80_000
	f := newFixture(t, func(c *Config) { c.Limits.Kept = most })
	sb := f.sandbox()
	session := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb})
	holding := make(chan *sandboxv1.ExecResult, 1)
	go func() {
		res, err := f.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "head -c 80000 /dev/zero >&2; touch full; while [ -e full ]; do sleep 0.01; done"})
		if err != nil {
			t.Error(err)
		}
		holding <- res
	}()
	kept := func() int {
		q := &f.server.kept
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.counts[uint32(os.Getuid())]
	}
	f.until("the output of the first", func() bool { return kept() == each })
	if res := f.inSession(session, "head -c 80000 /dev/zero; echo end"); len(res.GetStdout()) > most-each || !res.GetStdoutTruncated() {
		t.Errorf("beside the first, %d bytes were kept, truncated %v", len(res.GetStdout()), res.GetStdoutTruncated())
	}
	f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "while ! rm full; do sleep 0.01; done"})
	if res := <-holding; len(res.GetStderr()) != each || res.GetStderrTruncated() {
		t.Errorf("of the first, %d bytes were kept, truncated %v", len(res.GetStderr()), res.GetStderrTruncated())
	}
	f.until("room", func() bool { return kept() == 0 })
	if res := f.inSession(session, "head -c 80000 /dev/zero"); len(res.GetStdout()) != each || res.GetStdoutTruncated() {
		t.Errorf("afterwards, %d bytes were kept, truncated %v", len(res.GetStdout()), res.GetStdoutTruncated())
	}
}
