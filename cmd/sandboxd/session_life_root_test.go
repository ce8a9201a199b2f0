//go:build root

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const sessionClosed = sandboxv1.SessionStatus_SESSION_STATUS_CLOSED

func TestSessionEndsWithItsShell(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	both := []string{"bash", "sh"}
	for name, tt := range map[string]struct {
		shells []string
		want   want
		signal int32
		reason string
	}{
		"exit":                {both, want{command: "echo bye; sleep 300 & exit 3", stdout: "bye\n", code: 3}, 0, "the shell has exited with code 3"},
		"exit in a function":  {both, want{command: "f() { exit 4; }; f", code: 4}, 0, "the shell has exited with code 4"},
		"exit without a code": {both, want{command: "(exit 5); exit", code: 5}, 0, "the shell has exited with code 5"},
		"exit under set -e":   {both, want{command: "set -eu; exit 6", code: 6}, 0, "the shell has exited with code 6"},
		"exec":                {both, want{command: "exec sh -c 'echo prog; exit 7'", stdout: "prog\n", code: 7}, 0, "the shell has exited with code 7"},
		"exec of a reader":    {both, want{command: "exec cat", code: 0}, 0, "the shell has exited with code 0"},
		"a trap for EXIT":     {both, want{command: "trap 'echo trapped' EXIT; exit 8", stdout: "trapped\n", code: 8}, 0, "the shell has exited with code 8"},
		"SIGKILL":             {both, want{command: "kill -9 $$; sleep 5", code: 137}, 9, "the shell was ended by signal 9"},
		"SIGTERM":             {both, want{command: "kill $$; sleep 5", code: 143}, 15, "the shell was ended by signal 15"},
		"set -e in sh":        {both[1:], want{command: "set -e; false; echo no", code: 1}, 0, "the shell has exited with code 1"},
	} {
		for _, shell := range tt.shells {
			t.Run(shell+"/"+name, func(t *testing.T) {
				s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
				res := s.exec(tt.want.command)
				if res.GetStdout() != tt.want.stdout || res.GetStderr() != "" || res.GetExitCode() != tt.want.code || res.GetSignal() != tt.signal {
					t.Errorf("result is %v", res)
				}
				_, err := s.try("true", 0)
				info := wantError(t, err, codes.FailedPrecondition, "SESSION_CLOSED")
				if info.GetMetadata()["session_id"] != s.id || info.GetMetadata()["sandbox_id"] != sb {
					t.Errorf("metadata is %v", info.GetMetadata())
				}
				got := s.info()
				if got.GetStatus() != sessionClosed || got.GetCloseReason() != tt.reason || got.GetClosedAt() == nil {
					t.Errorf("session is %v, want the reason %q", got, tt.reason)
				}
				if left := b.run(sb, "pgrep -c 'sleep|cat' || true"); left != "0\n" {
					t.Errorf("%s processes are left", left)
				}
			})
		}
	}
}

func TestSessionExecTimeoutOfAProgramInPlaceOfTheShell(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		s.timeOut("exec sleep 600")
		_, err := s.try("true", 0)
		wantError(t, err, codes.FailedPrecondition, "SESSION_CLOSED")
	}
}

func TestSessionRequest(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(map[string]string{"src/a": "a"}), Permissions: reading()})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Workdir: "src", Env: map[string]string{"A": "it's\n1", "HOME": "/x"}, RequestId: "once"})
	s.check(want{command: `pwd; echo "$A|$HOME|$USER"; echo $0 $$ $-`, stdout: fmt.Sprintf("/workspace/src\nit's\n1|/x|agent\n/bin/bash %d hBc\n", s.info().GetPid())})
	if info := s.info(); info.GetShell() != "/bin/bash" || info.GetSandboxId() != sb || info.GetIdleTimeout().AsDuration() != time.Hour || info.GetCreatedAt() == nil {
		t.Errorf("session is %v", info)
	}
	if again := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, RequestId: "once"}); again.id != s.id {
		t.Errorf("the same request made %s, then %s", s.id, again.id)
	}
	other := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "/usr/bin/dash"})
	list, err := b.ListSessions(ctxOf(t), &sandboxv1.ListSessionsRequest{SandboxId: sb})
	if err != nil || len(list.GetSessions()) != 2 || list.GetSessions()[0].GetId() != s.id || list.GetSessions()[1].GetId() != other.id {
		t.Errorf("list is %v, %v", list, err)
	}
	for name, tt := range map[string]struct {
		req    *sandboxv1.CreateSessionRequest
		code   codes.Code
		reason string
	}{
		"no sandbox":             {&sandboxv1.CreateSessionRequest{}, codes.InvalidArgument, "MISSING_FIELD"},
		"no such sandbox":        {&sandboxv1.CreateSessionRequest{SandboxId: "sb_x"}, codes.NotFound, "SANDBOX_NOT_FOUND"},
		"no shell":               {&sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "python3"}, codes.InvalidArgument, "INVALID_FIELD"},
		"a path that is none":    {&sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "bin/bash"}, codes.InvalidArgument, "INVALID_FIELD"},
		"a shell not there":      {&sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "/nowhere/zsh"}, codes.InvalidArgument, "INVALID_FIELD"},
		"a directory not there":  {&sandboxv1.CreateSessionRequest{SandboxId: sb, Workdir: "no"}, codes.InvalidArgument, "WORKDIR_NOT_FOUND"},
		"a bad variable":         {&sandboxv1.CreateSessionRequest{SandboxId: sb, Env: map[string]string{"a=": ""}}, codes.InvalidArgument, "INVALID_FIELD"},
		"a negative timeout":     {&sandboxv1.CreateSessionRequest{SandboxId: sb, IdleTimeout: durationpb.New(-1)}, codes.InvalidArgument, "INVALID_FIELD"},
		"a program that is none": {&sandboxv1.CreateSessionRequest{SandboxId: sb, Env: map[string]string{"PATH": "/workspace"}, Shell: "bash"}, codes.InvalidArgument, "INVALID_FIELD"},
	} {
		_, err := b.CreateSession(ctxOf(t), tt.req)
		if wantError(t, err, tt.code, tt.reason); t.Failed() {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		req    *sandboxv1.SessionExecRequest
		code   codes.Code
		reason string
	}{
		"no session":      {&sandboxv1.SessionExecRequest{Command: "true"}, codes.InvalidArgument, "MISSING_FIELD"},
		"no such session": {&sandboxv1.SessionExecRequest{SessionId: "sess_x", Command: "true"}, codes.NotFound, "SESSION_NOT_FOUND"},
		"no command":      {&sandboxv1.SessionExecRequest{SessionId: s.id}, codes.InvalidArgument, "MISSING_FIELD"},
		"NUL":             {&sandboxv1.SessionExecRequest{SessionId: s.id, Command: "a\x00b"}, codes.InvalidArgument, "INVALID_FIELD"},
		"a bad timeout":   {&sandboxv1.SessionExecRequest{SessionId: s.id, Command: "true", Timeout: durationpb.New(-1)}, codes.InvalidArgument, "INVALID_FIELD"},
	} {
		_, err := b.SessionExec(ctxOf(t), tt.req)
		if wantError(t, err, tt.code, tt.reason); t.Failed() {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestSessionExecStream(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	for range 2 {
		stream, err := b.SessionExecStream(ctxOf(t), &sandboxv1.SessionExecRequest{SessionId: s.id, Command: "seq 1 200000; sh -c 'exit 3'"})
		if err != nil {
			t.Fatal(err)
		}
		out, exit, err := collect(stream)
		if err != nil || exit.GetExitCode() != 3 || len(out) != 1288895 || !strings.HasSuffix(out, "\n200000\n") {
			t.Errorf("%d bytes, exit %v, error %v", len(out), exit, err)
		}
	}
}

func TestSessionCallersQueue(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	var calls sync.WaitGroup
	for i := range 12 {
		calls.Go(func() {
			ctx, cancel := context.WithCancel(ctxOf(t))
			defer cancel()
			if i%5 == 4 { // gives up while it waits
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			_, _ = b.SessionExec(ctx, &sandboxv1.SessionExecRequest{SessionId: s.id, Command: fmt.Sprintf("test $N || sleep 2; N=$((N+1)); L=\"$L %d\"", i)})
		})
		time.Sleep(100 * time.Millisecond) // calls may overtake each other on their way
	}
	calls.Wait()
	s.check(want{command: "echo $N:$L", stdout: "10: 0 1 2 3 5 6 7 8 10 11\n"})
}

func TestSessionIdleTimeout(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, IdleTimeout: durationpb.New(600 * time.Millisecond)})
	s.exec("sleep 300 & sleep 1") // a command that runs is no idleness
	time.Sleep(300 * time.Millisecond)
	s.exec("true")
	waitFor(t, "the session to be closed", func() bool { return s.info().GetStatus() == sessionClosed })
	if reason := s.info().GetCloseReason(); reason != "nobody used it for 600ms" {
		t.Errorf("reason is %q", reason)
	}
	waitFor(t, "its processes to end", func() bool { return b.run(sb, "pgrep -c sleep || true") == "0\n" })
}

func TestSessionEndsWithItsSandbox(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil), CommitMode: manual})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	failed := make(chan error, 1)
	go func() {
		_, err := s.try("sleep 600", 0)
		failed <- err
	}()
	time.Sleep(200 * time.Millisecond)
	if _, err := b.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-failed, codes.FailedPrecondition, "SANDBOX_NOT_RUNNING")
	_, err := s.try("true", 0)
	wantError(t, err, codes.FailedPrecondition, "SESSION_CLOSED")
	if reason := s.info().GetCloseReason(); reason != "the sandbox has stopped" {
		t.Errorf("reason is %q", reason)
	}
	_, err = b.CreateSession(ctxOf(t), &sandboxv1.CreateSessionRequest{SandboxId: sb})
	wantError(t, err, codes.FailedPrecondition, "SANDBOX_NOT_RUNNING")
	if _, err := b.DestroySandbox(ctxOf(t), &sandboxv1.DestroySandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	_, err = s.try("true", 0)
	wantError(t, err, codes.NotFound, "SESSION_NOT_FOUND")
}

func TestSessionCommitsAfterEachCommand(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading()})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Workdir: "/output"})
	s.exec("printf one > x")
	if got, err := b.download(cb, "output/x"); got != "one" || err != nil {
		t.Errorf("output/x is %q, %v", got, err)
	}
	_, err := s.try("printf two > x; sleep 600", 200*time.Millisecond)
	wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT")
	if got, err := b.download(cb, "output/x"); got != "two" || err != nil {
		t.Errorf("output/x is %q, %v", got, err)
	}
}

func TestSessionsOfOneSandboxAreBounded(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	var last *term
	for range 64 {
		last = b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "sh"})
	}
	_, err := b.CreateSession(ctxOf(t), &sandboxv1.CreateSessionRequest{SandboxId: sb})
	info := wantError(t, err, codes.ResourceExhausted, "LIMIT_EXCEEDED")
	if info.GetMetadata()["resource"] != "sessions-per-sandbox" || info.GetMetadata()["limit"] != "64" {
		t.Errorf("metadata is %v", info.GetMetadata())
	}
	b.drop(t, last)
	b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "sh"})
}

func TestSessionsOfAnotherOwnerDoNotExist(t *testing.T) {
	b := newBox(t, "--listen-mode", "0666")
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	alice, bob := b.as(t, 3001, 3001), b.as(t, 3002, 3002)
	sb := alice.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: alice.codebase(nil)})
	s := alice.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, RequestId: "r"})
	ctx := ctxOf(t)
	for name, call := range map[string]func(who *box) error{
		"get": func(who *box) error {
			_, err := who.GetSession(ctx, &sandboxv1.GetSessionRequest{SessionId: s.id})
			return err
		},
		"exec": func(who *box) error {
			_, err := who.SessionExec(ctx, &sandboxv1.SessionExecRequest{SessionId: s.id, Command: "true"})
			return err
		},
		"stream": func(who *box) error {
			stream, err := who.SessionExecStream(ctx, &sandboxv1.SessionExecRequest{SessionId: s.id, Command: "true"})
			if err == nil {
				_, _, err = collect(stream)
			}
			return err
		},
		"list": func(who *box) error {
			_, err := who.ListSessions(ctx, &sandboxv1.ListSessionsRequest{SandboxId: sb})
			return err
		},
		"create": func(who *box) error {
			_, err := who.CreateSession(ctx, &sandboxv1.CreateSessionRequest{SandboxId: sb, RequestId: "r"})
			return err
		},
		"destroy": func(who *box) error {
			if who == b {
				return nil // would end the test for the others
			}
			_, err := who.DestroySession(ctx, &sandboxv1.DestroySessionRequest{SessionId: s.id})
			return err
		},
	} {
		if err := call(bob); status.Code(err) != codes.NotFound {
			t.Errorf("%s by another owner: %v", name, err)
		}
		if err := call(b); err != nil {
			t.Errorf("%s by root: %v", name, err)
		}
	}
	s.check(want{command: "echo on", stdout: "on\n"})
}
