//go:build root

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// reading is a policy that shows everything, and lets /output be written.
func reading() []*sandboxv1.PermissionRule {
	return []*sandboxv1.PermissionRule{rule("**/*", read), rule("/output/**", write), rule("**/.env*", none)}
}

func TestCommandSeesTheCodebase(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello\n", "src/main.go": "package main\n", ".env": "secret\n"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: reading()})
	for command, want := range map[string]string{
		"cat a.txt; ls -A; pwd":                               "hello\na.txt\noutput\nsrc\n/workspace\n",
		"echo 1 > output/x; cat /workspace/output/x; echo $0": "1\n/bin/bash\n",
		"echo 2 > /output/y; cat output/y":                    "2\n",
		"cat .env 2>&1 || echo no":                            "cat: .env: No such file or directory\nno\n",
		"echo x > a.txt 2>&1 || echo no":                      "no\n",
		"env | grep -v ^_ | cut -d= -f1 | sort | xargs":       "HOME LANG LOGNAME OLDPWD PATH PWD SHLVL TERM TMPDIR USER\n",
		"cat": "",
		"id -un; echo $HOME; test -w $HOME && test -w /tmp; echo": "agent\n/home/agent\n\n",
	} {
		if got := b.run(sb, command); got != want && command[:3] != "env" {
			t.Errorf("%s: output is %q, want %q", command, got, want)
		}
	}
}

func TestExecRequest(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(map[string]string{"src/a": "a"}), Permissions: reading()})
	for name, tt := range map[string]struct {
		req  *sandboxv1.ExecRequest
		want *sandboxv1.ExecResult
	}{
		"argv is not touched by a shell": {
			&sandboxv1.ExecRequest{Argv: [][]byte{[]byte("printf"), []byte("%s|"), []byte("a b"), []byte("$HOME"), []byte("\xff")}},
			&sandboxv1.ExecResult{Stdout: "a b|$HOME|\uFFFD|", StdoutBytes: []byte("a b|$HOME|\xff|")},
		},
		"exit code and both streams": {
			&sandboxv1.ExecRequest{Command: "echo out; echo err >&2; exit 7"},
			&sandboxv1.ExecResult{Stdout: "out\n", Stderr: "err\n", ExitCode: 7},
		},
		"a signal is 128 and its number": {
			&sandboxv1.ExecRequest{Command: "kill -9 $$"},
			&sandboxv1.ExecResult{ExitCode: 137, Signal: 9},
		},
		"stdin as text":        {&sandboxv1.ExecRequest{Command: "cat", Stdin: "hi"}, &sandboxv1.ExecResult{Stdout: "hi"}},
		"stdin as bytes":       {&sandboxv1.ExecRequest{Command: "od -An -tx1", StdinBytes: []byte{0, 255}}, &sandboxv1.ExecResult{Stdout: " 00 ff\n"}},
		"stdin that is unread": {&sandboxv1.ExecRequest{Command: "true", StdinBytes: make([]byte, 1<<20)}, &sandboxv1.ExecResult{}},
		"env replaces and adds": {
			&sandboxv1.ExecRequest{Command: `echo "$HOME|$A_B"`, Env: map[string]string{"HOME": "/x", "A_B": "a=b\nc"}},
			&sandboxv1.ExecResult{Stdout: "/x|a=b\nc\n"},
		},
		"workdir is relative to the codebase": {&sandboxv1.ExecRequest{Command: "pwd", Workdir: "src"}, &sandboxv1.ExecResult{Stdout: "/workspace/src\n"}},
		"workdir may be anywhere inside":      {&sandboxv1.ExecRequest{Command: "pwd", Workdir: "/usr/bin"}, &sandboxv1.ExecResult{Stdout: "/usr/bin\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.SandboxId = sb
			got, err := b.Exec(ctxOf(t), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if got.GetStdout() != tt.want.GetStdout() || !bytes.Equal(got.GetStdoutBytes(), tt.want.GetStdoutBytes()) ||
				got.GetStderr() != tt.want.GetStderr() || got.GetExitCode() != tt.want.GetExitCode() || got.GetSignal() != tt.want.GetSignal() {
				t.Errorf("result is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestExecErrors(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(map[string]string{"a": "a"}), Permissions: reading()})
	for name, tt := range map[string]struct {
		req    *sandboxv1.ExecRequest
		code   codes.Code
		reason string
		meta   map[string]string
	}{
		"no command":   {&sandboxv1.ExecRequest{}, codes.InvalidArgument, "MISSING_FIELD", map[string]string{"field": "command"}},
		"no such dir":  {&sandboxv1.ExecRequest{Command: "true", Workdir: "no"}, codes.InvalidArgument, "WORKDIR_NOT_FOUND", map[string]string{"path": "/workspace/no"}},
		"no such file": {&sandboxv1.ExecRequest{Argv: [][]byte{[]byte("nope")}}, codes.NotFound, "COMMAND_NOT_FOUND", map[string]string{"command": "nope"}},
		"no program":   {&sandboxv1.ExecRequest{Argv: [][]byte{[]byte("/workspace/a")}}, codes.PermissionDenied, "COMMAND_NOT_EXECUTABLE", nil},
		"timeout": {
			&sandboxv1.ExecRequest{Command: "sleep 60 & sleep 60", Timeout: durationpb.New(200 * time.Millisecond)},
			codes.DeadlineExceeded, "COMMAND_TIMEOUT",
			map[string]string{"timeout": "0.2", "command": "sleep 60 & sleep 60"},
		},
		"an empty variable name": {&sandboxv1.ExecRequest{Command: "true", Env: map[string]string{"": "x"}}, codes.InvalidArgument, "INVALID_FIELD", nil},
		"a long command":         {&sandboxv1.ExecRequest{Command: strings.Repeat("#", 200<<10)}, codes.InvalidArgument, "COMMAND_TOO_LONG", nil},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.SandboxId = sb
			_, err := b.Exec(ctxOf(t), tt.req)
			info := wantError(t, err, tt.code, tt.reason)
			for key, want := range tt.meta {
				if info.GetMetadata()[key] != want {
					t.Errorf("metadata is %v, want %s=%q", info.GetMetadata(), key, want)
				}
			}
		})
	}
	if got := b.run(sb, "pgrep -c sleep || true"); got != "0\n" {
		t.Errorf("%s processes have survived the timeout", strings.TrimSpace(got))
	}
}

func TestOutputOverTheLimitIsTruncated(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for name, tt := range map[string]struct {
		asked int64
		kept  int
	}{
		"by default at 640 KiB": {0, 640 << 10},
		"where the caller says": {1 << 20, 1 << 20},
		"to a single byte":      {1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{
				SandboxId: sb, OutputLimit: tt.asked,
				Command: "head -c 20000000 /dev/zero | tr '\\0' x; echo >&2",
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.GetStdout()) != tt.kept || !res.GetStdoutTruncated() || res.GetStderrTruncated() || res.GetStderr() != "\n" || res.GetExitCode() != 0 {
				t.Errorf("Exec(limit %d) kept %d bytes, truncated %v and %v", tt.asked, len(res.GetStdout()), res.GetStdoutTruncated(), res.GetStderrTruncated())
			}
		})
	}
}

func TestBackgroundProcessesDoNotHoldTheAnswer(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	begin := time.Now()
	got := b.run(sb, "(while echo noise; do sleep 0.01; done; echo $? > /tmp/failed) & echo begun")
	if took := time.Since(begin); took > 3*time.Second || !strings.Contains(got, "begun\n") {
		t.Errorf("output is %.100q after %v", got, took)
	}
	time.Sleep(300 * time.Millisecond)
	if got := b.run(sb, "ps -ef; ls /tmp"); !strings.Contains(got, "while echo noise") {
		t.Errorf("the background loop has ended: %s", got)
	}
}

func collect(stream grpc.ServerStreamingClient[sandboxv1.ExecOutput]) (out string, exit *sandboxv1.ExecExit, err error) {
	var all strings.Builder
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all.String(), exit, nil
		}
		if err != nil {
			return all.String(), exit, err
		}
		all.Write(m.GetData())
		if m.GetExit() != nil {
			exit = m.GetExit()
		}
	}
}

func TestExecStreamEndsWithTheExit(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	stream, err := b.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "seq 1 200000; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	out, exit, err := collect(stream)
	if err != nil || exit.GetExitCode() != 3 || len(out) != 1288895 || !strings.HasSuffix(out, "\n200000\n") {
		t.Errorf("%d bytes, exit %v, error %v", len(out), exit, err)
	}
}

func TestClientThatStopsReadingStopsTheCommand(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	ctx, cancel := context.WithCancel(ctxOf(t))
	stream, err := b.ExecStream(ctx, &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 300 & yes | (i=0; while read -r -N 65536 x; do i=$((i+1)); echo -n $x; echo $i > /tmp/count; done)"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	var last string
	waitFor(t, "pipe and windows to be full", func() bool {
		time.Sleep(300 * time.Millisecond)
		before := last
		last = b.run(sb, "cat /tmp/count")
		return last == before
	})
	time.Sleep(500 * time.Millisecond)
	if now := b.run(sb, "cat /tmp/count"); now != last {
		t.Errorf("the command goes on: %q, then %q chunks", last, now)
	}
	cancel()
	waitFor(t, "the whole tree to end", func() bool { return b.run(sb, "pgrep -c 'yes|sleep' || true") == "0\n" })
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

func TestExecInteractive(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	begin := func(command string) grpc.BidiStreamingClient[sandboxv1.ExecInput, sandboxv1.ExecOutput] {
		stream, err := b.ExecInteractive(ctxOf(t))
		if err != nil {
			t.Fatal(err)
		}
		send(t, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: &sandboxv1.ExecRequest{SandboxId: sb, Command: command}}})
		m, err := stream.Recv()
		if err != nil || m.GetStarted().GetPid() <= 0 {
			t.Fatalf("first message is %v, %v", m, err)
		}
		return stream
	}
	t.Run("stdin until it is closed", func(t *testing.T) {
		stream := begin("cat; echo end")
		send(t, stream, stdin("one\n"))
		if m, err := stream.Recv(); err != nil || string(m.GetData()) != "one\n" {
			t.Fatalf("message is %v, %v", m, err)
		}
		send(t, stream, stdin("two\n"))
		send(t, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}})
		if out, exit, err := collect(stream); out != "two\nend\n" || exit.GetExitCode() != 0 || err != nil {
			t.Errorf("output %q, exit %v, error %v", out, exit, err)
		}
	})
	t.Run("the end of the client's messages closes stdin", func(t *testing.T) {
		stream := begin("cat")
		stream.CloseSend()
		if out, exit, err := collect(stream); out != "" || exit.GetExitCode() != 0 || err != nil {
			t.Errorf("output %q, exit %v, error %v", out, exit, err)
		}
	})
	t.Run("signals arrive though nobody reads stdin", func(t *testing.T) {
		stream := begin("trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.05; done")
		if m, err := stream.Recv(); err != nil || string(m.GetData()) != "ready\n" {
			t.Fatalf("message is %v, %v", m, err)
		}
		for range 4 {
			send(t, stream, stdin(strings.Repeat("x", 60<<10)))
		}
		send(t, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Signal{Signal: 2}})
		if out, exit, err := collect(stream); out != "got\n" || exit.GetExitCode() != 5 || err != nil {
			t.Errorf("output %q, exit %v, error %v", out, exit, err)
		}
	})
	t.Run("a message out of order is an error", func(t *testing.T) {
		stream, err := b.ExecInteractive(ctxOf(t))
		if err != nil {
			t.Fatal(err)
		}
		send(t, stream, stdin("x"))
		_, err = stream.Recv()
		wantError(t, err, codes.InvalidArgument, "UNEXPECTED_STEP")
	})
	t.Run("a client that goes away ends the tree", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctxOf(t))
		stream, err := b.ExecInteractive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		send(t, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: &sandboxv1.ExecRequest{SandboxId: sb, Command: "setsid sleep 400 & sleep 400"}}})
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("error is %v", err)
		}
		waitFor(t, "the tree to end", func() bool { return b.run(sb, "pgrep -c sleep || true") == "0\n" })
	})
}

func stdin(s string) *sandboxv1.ExecInput {
	return &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: []byte(s)}}
}

func send(t *testing.T, stream grpc.BidiStreamingClient[sandboxv1.ExecInput, sandboxv1.ExecOutput], m *sandboxv1.ExecInput) {
	t.Helper()
	if err := stream.Send(m); err != nil {
		t.Fatal(err)
	}
}
