//go:build root

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// denied runs a command and returns what the policy refused during it.
func (b *box) denied(sandbox, command string) []string {
	b.Helper()
	res, err := b.Exec(ctxOf(b.T), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
	if err != nil {
		b.Fatal(err)
	}
	if n := res.GetDenialsOmitted(); n != 0 {
		b.Errorf("%d denials are omitted", n)
	}
	return lines(res.GetDenials())
}

func lines(denials []*sandboxv1.Denial) []string {
	var lines []string
	for _, d := range denials {
		lines = append(lines, fmt.Sprintf("%s %s by %s: %s", d.GetOperation(), d.GetPath(), d.GetRule().GetPattern(), d.GetHint()))
	}
	return lines
}

func TestResultsListWhatWasRefused(t *testing.T) {
	b := newBox(t)
	codebase := b.codebase(map[string]string{"a.txt": "a", "src/b.txt": "b", ".env": "secret", "run.sh": "#!/bin/sh\n"})
	safe := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: codebase, Permissions: preset(t, "agent-safe")})
	view := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: codebase, Permissions: preset(t, "view-only")})
	for name, tt := range map[string]struct {
		sandbox, command string
		want             []string
	}{
		"nothing":                    {safe, "cat a.txt; ls -la; cat no-such-file; true", nil},
		"a hidden file":              {safe, "cat .env", []string{"open /.env by **/.env*: a rule /.env=read@101 allows it"}},
		"again, from elsewhere":      {safe, "cd src && cat ../.env /workspace/.env", []string{"open /.env by **/.env*: a rule /.env=read@101 allows it"}},
		"a write below read":         {safe, "echo x > src/new", []string{"create /src/new by **/*: a rule /src/new=write@1 allows it if the file exists, /src/**=write@1 also if not"}},
		"a removal":                  {safe, "rm -f a.txt", []string{"remove /a.txt by **/*: a rule /**=write@1 allows it"}},
		"in the background as well":  {safe, "sh -c 'sleep 0.05; cat .env' & wait", []string{"open /.env by **/.env*: a rule /.env=read@101 allows it"}},
		"writing where one may":      {safe, "echo x > /output/x && rm /output/x", nil},
		"reading below view":         {view, "cat a.txt", []string{"open /a.txt by **/*: preset read-only allows to read it"}},
		"writing below view":         {view, "rm -f a.txt", []string{"remove /a.txt by **/*: preset development allows to change it"}},
		"the rest of the file tree":  {safe, "cat /etc/shadow; echo x > /usr/x; cat /root/.env", nil},
		"what another sandbox tries": {view, "true", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.denied(tt.sandbox, tt.command); !slices.Equal(got, tt.want) {
				t.Errorf("%s was refused %q, want %q", tt.command, got, tt.want)
			}
		})
	}
}

func TestDenialsAreBounded(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil), Permissions: preset(t, "agent-safe")})
	res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "for i in $(seq 30000); do [ -e .env$i ]; done; true"})
	if err != nil {
		t.Fatal(err)
	}
	if n, more := len(res.GetDenials()), res.GetDenialsOmitted(); n != 100 || more < 29900 {
		t.Errorf("%d denials and %d omitted, want 100 and the rest", n, more)
	}
	// Names that are no text, and longer together than an answer may be.
	long := strings.Repeat("/"+strings.Repeat("\xff", 200), 19)
	res, err = b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Argv: [][]byte{
		[]byte("bash"), []byte("-c"), []byte(`for i in $(seq 200); do cat "secrets$0/$i" 2>&1; done >/dev/null; cat $'\xff.key'; true`), []byte(long),
	}})
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, d := range res.GetDenials() {
		size += len(d.GetPath()) + len(d.GetHint())
	}
	if n := len(res.GetDenials()); n == 0 || n+int(res.GetDenialsOmitted()) < 201 || size > 64<<10 {
		t.Errorf("%d denials of %d bytes and %d omitted", n, size, res.GetDenialsOmitted())
	}
	if got := b.denied(sb, "cat .env"); len(got) != 1 || !strings.HasPrefix(got[0], "open /.env ") {
		t.Errorf("the next command was refused %q", got)
	}
}

// preset returns the rules of a preset, as a client sends them.
func preset(t *testing.T, name string) []*sandboxv1.PermissionRule {
	t.Helper()
	rules, err := policy.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	var wire []*sandboxv1.PermissionRule
	for _, r := range rules {
		wire = append(wire, &sandboxv1.PermissionRule{
			Pattern: r.Pattern, Permission: sandboxv1.Permission(r.Level + 1), Priority: r.Priority, Preset: r.Preset,
		})
	}
	return wire
}
