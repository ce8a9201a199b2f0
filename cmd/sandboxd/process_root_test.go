//go:build root

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

type attached = grpc.BidiStreamingClient[sandboxv1.AttachInput, sandboxv1.ExecOutput]

func (b *box) processes() sandboxv1.ProcessServiceClient {
	return sandboxv1.NewProcessServiceClient(b.conn)
}

func (b *box) spawn(req *sandboxv1.SpawnRequest) string {
	b.Helper()
	p, err := b.processes().Spawn(ctxOf(b.T), req)
	if err != nil {
		b.Fatal(err)
	}
	return p.GetId()
}

func (b *box) attach(ctx context.Context, id string) attached {
	b.Helper()
	stream, err := b.processes().Attach(ctx)
	if err == nil {
		err = stream.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Attach{Attach: &sandboxv1.AttachRequest{ProcessId: id}}})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		b.Fatal(err)
	}
	return stream
}

func (b *box) ended(id string) *sandboxv1.ExecExit {
	b.Helper()
	var exit *sandboxv1.ExecExit
	waitFor(b.T, "the process to end", func() bool {
		p, err := b.processes().GetProcess(ctxOf(b.T), &sandboxv1.GetProcessRequest{ProcessId: id})
		if err != nil {
			b.Fatal(err)
		}
		exit = p.GetExit()
		return exit != nil
	})
	return exit
}

func TestProcessSurvivesItsClient(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	id := b.spawn(&sandboxv1.SpawnRequest{OpenStdin: true, Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "while read -r x; do echo \"got $x\"; done; exit 4"}})
	ctx, cancel := context.WithCancel(ctxOf(t))
	first := b.attach(ctx, id)
	first.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Stdin{Stdin: []byte("one\n")}})
	if m, err := first.Recv(); err != nil || string(m.GetData()) != "got one\n" {
		t.Fatalf("message is %v, %v", m, err)
	}
	cancel()
	b.conn.Close() // as if the client had died
	b.connect()
	second := b.attach(ctxOf(t), id)
	second.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Stdin{Stdin: []byte("two\n")}})
	second.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}})
	if out, exit, err := collect(second); out != "got two\n" || exit.GetExitCode() != 4 || err != nil {
		t.Errorf("output is %q, exit %v, %v", out, exit, err)
	}
	if out, exit, err := collect(b.attach(ctxOf(t), id)); out != "" || exit.GetExitCode() != 4 || err != nil {
		t.Errorf("later, output is %q, exit %v, %v", out, exit, err)
	}
}

func TestProcessKillsItsTree(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	id := b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "setsid sleep 500 & sleep 500"}})
	other := b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "exec sleep 501"}})
	waitFor(t, "the tree", func() bool { return b.run(sb, "pgrep -fc '[s]leep 500' || true") == "3\n" })
	if _, err := b.processes().SignalProcess(ctxOf(t), &sandboxv1.SignalProcessRequest{ProcessId: id, Signal: 9}); err != nil {
		t.Fatal(err)
	}
	if exit := b.ended(id); exit.GetSignal() != 9 {
		t.Errorf("exit is %v", exit)
	}
	waitFor(t, "the tree to end", func() bool { return b.run(sb, "pgrep -fc '[s]leep 500' || true") == "0\n" })
	p, err := b.processes().GetProcess(ctxOf(t), &sandboxv1.GetProcessRequest{ProcessId: other})
	if err != nil || p.GetExit() != nil {
		t.Errorf("the other process is %v, %v", p, err)
	}
}

func TestProcessCommitsInTheEnd(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "old"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: []*sandboxv1.PermissionRule{rule("/**", write)}})
	id := b.spawn(&sandboxv1.SpawnRequest{OpenStdin: true, Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "echo new > a; cat"}})
	waitFor(t, "the file", func() bool {
		out, _ := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "cat a", Timeout: nil})
		return out.GetStdout() == "new\n"
	})
	b.run(sb, "echo newer > a")
	stream := b.attach(ctxOf(t), id)
	stream.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}})
	if _, exit, err := collect(stream); exit == nil || err != nil {
		t.Fatalf("exit is %v, %v", exit, err)
	}
	if got, err := b.download(cb, "a"); got != "newer\n" || err != nil {
		t.Errorf("the codebase has %q, %v", got, err)
	}
}

// A process that floods its output runs on while nobody reads, stops for a
// client that does not, and takes no more of the daemon's memory either way.
func TestFloodOfAProcessIsBounded(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	const flood = "i=0; while :; do head -c 1000000 /dev/zero || exit; i=$((i+1)); echo $i > /tmp/count; done"
	id := b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: flood}})
	waitFor(t, "some of the flood", func() bool { return len(b.run(sb, "cat /tmp/count || true")) >= 3 })
	before := b.memory()
	count := func() (n int) {
		fmt.Sscan(b.run(sb, "cat /tmp/count"), &n)
		return n
	}
	from := count()
	waitFor(t, "100 MB more", func() bool { return count() > from+100 })
	if grown := b.memory() - before; grown > 24<<20 {
		t.Errorf("the daemon has grown by %d MiB while nobody reads", grown>>20)
	}
	stream := b.attach(ctxOf(t), id) // and does not read
	last := -1
	waitFor(t, "the process to stop", func() bool {
		time.Sleep(300 * time.Millisecond)
		was := last
		last = count()
		return last == was
	})
	if grown := b.memory() - before; grown > 24<<20 {
		t.Errorf("the daemon has grown by %d MiB for a slow reader", grown>>20)
	}
	var lost int64
	for range 100 { // then it reads, and the process goes on
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		lost += m.GetLost()
	}
	if lost < 100_000_000 {
		t.Errorf("%d bytes are said to be lost", lost)
	}
	waitFor(t, "the process to go on", func() bool {
		_, err := stream.Recv()
		return err == nil && count() > last
	})
}

// memory is the daemon's own, in bytes.
func (b *box) memory() int64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	b.Fatal("no RssAnon")
	return 0
}

func TestProcessesEndWithTheirSandbox(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	var ids []string
	for i := range 70 {
		ids = append(ids, b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: fmt.Sprintf("exit %d", i)}}))
	}
	runs := b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 600"}})
	waitFor(t, "all but one to end", func() bool {
		list, err := b.processes().ListProcesses(ctxOf(t), &sandboxv1.ListProcessesRequest{SandboxId: sb})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.GetProcesses()) == 65
	})
	stream := b.attach(ctxOf(t), runs)
	if _, err := b.DestroySandbox(ctxOf(t), &sandboxv1.DestroySandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the process ends with %v", err)
	}
	for _, id := range append(ids, runs) {
		_, err := b.processes().GetProcess(ctxOf(t), &sandboxv1.GetProcessRequest{ProcessId: id})
		wantError(t, err, codes.NotFound, "PROCESS_NOT_FOUND")
	}
}
