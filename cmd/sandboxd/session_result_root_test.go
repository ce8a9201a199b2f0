//go:build root

package main

import (
	"slices"
	"testing"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestSessionTellsOfTheMemoryLimit(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{
		CodebaseId: b.codebase(nil), Resources: &sandboxv1.ResourceLimits{MemoryBytes: 100 << 20},
	})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		for _, step := range []struct {
			command string
			code    int32
			oom     bool
		}{
			{"true", 0, false},
			{`python3 -c 'x = b"x" * 300000000'`, 137, true},
			{"sh -c 'kill -9 $$'", 137, false},
			{"kill -9 $$", 137, false},
		} {
			if res := s.exec(step.command); res.GetExitCode() != step.code || res.GetOomKilled() != step.oom {
				t.Errorf("%s: %s: result is %v", shell, step.command, res)
			}
		}
		if reason := s.info().GetCloseReason(); reason != "the shell was ended by signal 9" {
			t.Errorf("%s: reason is %q", shell, reason)
		}
	}
}

func TestSessionTellsDenialsOfEachCommand(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{
		CodebaseId: b.codebase(map[string]string{"a": "a", ".env": "x"}), CommitMode: manual, Permissions: reading(),
	})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		for command, want := range map[string][]string{
			"cat .env 2>/dev/null": {"open /.env"},
			"echo x > a":           {"create /a"},
			"cat a":                nil,
		} {
			var got []string
			for _, d := range s.exec(command).GetDenials() {
				got = append(got, d.GetOperation()+" "+string(d.GetPath()))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s: denials are %q, want %q", shell, command, got, want)
			}
		}
	}
}
