//go:build root

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// person sits at a terminal of a command.
type person struct {
	*testing.T
	grpc.BidiStreamingClient[sandboxv1.ExecInput, sandboxv1.ExecOutput]
	seen strings.Builder
}

func (b *box) sit(ctx context.Context, sandbox string, argv ...string) *person {
	b.Helper()
	stream, err := b.ExecInteractive(ctx)
	if err != nil {
		b.Fatal(err)
	}
	start := &sandboxv1.ExecRequest{SandboxId: sandbox, Pty: &sandboxv1.WindowSize{Cols: 100, Rows: 30}}
	for _, a := range argv {
		start.Argv = append(start.Argv, []byte(a))
	}
	send(b.T, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: start}})
	return &person{T: b.T, BidiStreamingClient: stream}
}

func (p *person) keys(text string) {
	p.Helper()
	send(p.T, p.BidiStreamingClient, stdin(text))
}

// await reads until a text has come, and forgets what came up to there.
func (p *person) await(text string) string {
	p.Helper()
	for !strings.Contains(p.seen.String(), text) {
		m, err := p.Recv()
		if err != nil {
			p.Fatalf("%q does not come after %q: %v", text, p.seen.String(), err)
		}
		p.seen.Write(m.GetData())
	}
	before, rest, _ := strings.Cut(p.seen.String(), text)
	p.seen.Reset()
	p.seen.WriteString(rest)
	return before
}

func (p *person) exit() *sandboxv1.ExecExit {
	p.Helper()
	for {
		m, err := p.Recv()
		if err != nil {
			p.Fatalf("no exit after %q: %v", p.seen.String(), err)
		}
		p.seen.Write(m.GetData())
		if m.GetExit() != nil {
			return m.GetExit()
		}
	}
}

func TestInteractiveShell(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	p := b.sit(ctxOf(t), sb, "bash", "--norc", "-i")
	if before := p.await("$ "); strings.Contains(before, "job control") || strings.Contains(before, "ioctl") {
		t.Errorf("bash complains: %q", before)
	}
	for _, tt := range []struct{ keys, want string }{
		{"tty; stty size; echo $TERM\r", "/dev/pts/0\r\n30 100\r\nxterm-256color\r\n"},
		{"python3 -c 'import os; print(tuple(os.get_terminal_size()))'\r", "(100, 30)\r\n"},
		{"cat\rwords\r\x04", "words\r\nwords\r\n"},
		{"sleep 100\r\x03", "^C\r\n"},
		{"echo $?\r", "130\r\n"},
		{"sleep 100\r\x1a", "Stopped"},
		{"bg; jobs\r", "Running"},
		{"kill %1; wait; echo do''ne\r", "done\r\n"},
	} {
		for i, part := range strings.SplitAfter(tt.keys, "\r") {
			if i == 1 {
				time.Sleep(300 * time.Millisecond) // until the program reads
			}
			p.keys(part)
		}
		p.await(tt.want)
	}
	send(t, p.BidiStreamingClient, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Resize{Resize: &sandboxv1.WindowSize{Cols: 60, Rows: 20}}})
	p.keys("stty size\r")
	p.await("20 60\r\n")
	p.keys("python3 -c 'import signal, os; signal.signal(28, lambda *a: print(tuple(os.get_terminal_size()))); print(\"rea\" + \"dy\"); signal.pause()'\r")
	p.await("ready\r\n")
	time.Sleep(300 * time.Millisecond)
	send(t, p.BidiStreamingClient, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Resize{Resize: &sandboxv1.WindowSize{Cols: 61, Rows: 21}}})
	p.await("(61, 21)\r\n")
	p.keys("exit 7\r")
	if exit := p.exit(); exit.GetExitCode() != 7 {
		t.Errorf("exit is %v", exit)
	}
}

func TestTerminalIsExact(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	p := b.sit(ctxOf(t), sb, "sh", "-c", "stty raw; head -c 10485760 /dev/urandom | tee /tmp/x; sha256sum < /tmp/x > /tmp/sum; exit 3")
	sum := sha256.New()
	n := 0
	for {
		m, err := p.Recv()
		if err != nil {
			t.Fatal(err)
		}
		n += len(m.GetData())
		sum.Write(m.GetData())
		if exit := m.GetExit(); exit != nil {
			if exit.GetExitCode() != 3 {
				t.Errorf("exit is %v", exit)
			}
			break
		}
	}
	if want, _, _ := strings.Cut(b.run(sb, "cat /tmp/sum"), " "); n != 10<<20 || hex.EncodeToString(sum.Sum(nil)) != want {
		t.Errorf("%d bytes came, other than were written", n)
	}
}

func TestClientOfATerminalGoesAway(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	ctx, cancel := context.WithCancel(ctxOf(t))
	p := b.sit(ctx, sb, "bash", "-c", "trap '' HUP; setsid sleep 400 & sleep 400 & echo ready; while :; do sleep 0.1; done")
	p.await("ready")
	cancel()
	for {
		if _, err := p.Recv(); err != nil {
			break
		}
	}
	waitFor(t, "the tree to end", func() bool { return b.run(sb, "pgrep -c 'sleep|bash' || true") == "1\n" })
}

// A payload that floods its terminal, reads nothing of what is typed, or ends
// with the sandbox under it, never keeps the daemon from anything.
func TestTerminalOfASandboxThatEnds(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	flood := b.sit(ctxOf(t), sb, "yes")
	deaf := b.sit(ctxOf(t), sb, "sh", "-c", "stty raw; echo ready; exec sleep 1000")
	deaf.await("ready")
	for range 8 {
		deaf.keys(strings.Repeat("x", 32<<10))
	}
	time.Sleep(200 * time.Millisecond)
	begin := time.Now()
	if _, err := b.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*person{flood, deaf} {
		var err error
		for err == nil {
			_, err = p.Recv()
		}
		if errors.Is(err, io.EOF) {
			t.Error("a command of an ended sandbox has ended well")
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
