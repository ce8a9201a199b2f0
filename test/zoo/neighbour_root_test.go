//go:build root

package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// reachable are the probes that go for what a neighbour has open.
const reachable = "^host/(abstract-socket|unix-socket|tcp|udp|system-v-memory|system-v-list|shared-memory-file|temporary-file)$|^names/host-path$"

// Two sandboxes of one owner are one user, and still strangers: what one opens
// to everybody it finds again itself, and the other does not.
func TestNeighboursAreStrangers(t *testing.T) {
	tools := toolsDirectory(t)
	d := start(t, bin, "--toolchain", tools)
	copyProgram(t, bin+"/zoo", tools+"/zoo")
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	cb := d.ingest(dir)
	one, other := d.open(cb, "development"), d.open(cb, "development")
	stream, err := d.ExecInteractive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := &sandboxv1.ExecRequest{SandboxId: one, Argv: [][]byte{[]byte(tools + "/zoo"), []byte("-helper"), []byte("neighbour")}}
	if err := stream.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: start}}); err != nil {
		t.Fatal(err)
	}
	var said string
	for !strings.Contains(said, "\n") {
		m, err := stream.Recv()
		if err != nil || m.GetExit() != nil {
			t.Fatalf("the neighbour said %q and ended: %v, %v", said, m, err)
		}
		said += string(m.GetData())
	}
	visit := func(sandbox string) map[string]answer {
		command := tools + "/zoo -in sandbox -preset development -run '" + reachable + "' " + strings.TrimSpace(said)
		r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
		if err != nil || r.GetExitCode() != 0 {
			t.Fatalf("%s: %v, %v", command, err, r)
		}
		answers := map[string]answer{}
		for line := range strings.Lines(r.GetStdout()) {
			if name, a, ok := parseLine(strings.TrimSuffix(line, "\n")); ok {
				answers[name] = a
			}
		}
		return answers
	}
	at, from := visit(one), visit(other)
	if len(at) != 9 || len(from) != 9 {
		t.Errorf("%d and %d probes answered", len(at), len(from))
	}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		if at[name].verdict != Leak {
			t.Errorf("in its own sandbox: %s", at[name].line(name))
		}
		if from[name].verdict != Blocked {
			t.Errorf("from the other sandbox: %s", from[name].line(name))
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}
