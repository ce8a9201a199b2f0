package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// TestCommandLeavesNoGoroutine also where standard input never ends, and where
// the output cannot be written.
func TestCommandLeavesNoGoroutine(t *testing.T) {
	dir, err := os.MkdirTemp("", "fake")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	fake, err := startFake(socket)
	if err != nil {
		t.Fatal(err)
	}
	fake.sandboxes["sb_1"] = &sandboxv1.Sandbox{Id: "sb_1"}
	silent, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	defer silent.Close()
	closed, broken, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	defer broken.Close()
	c, err := dial(t.Context(), "unix://"+socket)
	if err != nil {
		t.Fatal(err)
	}
	run := func(stdout *os.File, argv ...[]byte) (*sandboxv1.ExecExit, error) {
		var out bytes.Buffer
		cmd := command{
			open:  executing(c, &sandboxv1.ExecRequest{SandboxId: "sb_1", Argv: argv}),
			stdin: silent, stdout: &out, stderr: &out, signals: make(chan os.Signal),
		}
		if stdout != nil {
			cmd.stdout = stdout
		}
		return cmd.run(t.Context())
	}
	if exit, err := run(nil, []byte("true")); err != nil || exit.GetExitCode() != 0 {
		t.Errorf("true ended with %v, %v", exit, err)
	}
	if exit, err := run(broken, []byte("yes")); err == nil {
		t.Errorf("yes ended with %v, want an error", exit)
	}
	if _, err := run(nil, []byte("no-such-program-here")); reasonOf(err) != "COMMAND_NOT_FOUND" {
		t.Errorf("no-such-program-here ended with %v", err)
	}
	c.Close()
	fake.stop()
	goleak.VerifyNone(t)
}
