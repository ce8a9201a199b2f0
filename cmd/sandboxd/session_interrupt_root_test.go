//go:build root

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// timeOut runs a command that must run into its timeout.
func (s *term) timeOut(command string) map[string]string {
	s.t.Helper()
	begin := time.Now()
	_, err := s.try(command, 300*time.Millisecond)
	meta := wantError(s.t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT").GetMetadata()
	if meta["session_id"] != s.id || meta["timeout"] != "0.3" || meta["command"] != command {
		s.t.Errorf("metadata is %v", meta)
	}
	if took := time.Since(begin); took > 4*time.Second {
		s.t.Errorf("the timeout took %v", took)
	}
	return meta
}

// interruptions are commands that do not end by themselves.
var interruptions = map[string]string{
	"a program":                            "sleep 600; touch /tmp/went-on",
	"a loop":                               "while :; do :; done; touch /tmp/went-on",
	"a loop with redirections":             "while :; do echo x; done >/tmp/loop 2>&1 </dev/null; touch /tmp/went-on",
	"a loop of programs":                   "while :; do true; done",
	"a function":                           "g() { while :; do f >/dev/null; done; }; g; touch /tmp/went-on",
	"a pipeline":                           "yes | cat >/dev/null; touch /tmp/went-on",
	"a substitution":                       "Z=$(sleep 600); touch /tmp/went-on",
	"a subshell":                           "(while :; do :; done); touch /tmp/went-on",
	"a program that ignores every signal":  `sh -c 'trap "" 1 2 3 10 12 15; while :; do sleep 1; done'`,
	"a tree that leaves its group":         "setsid sh -c 'setsid sleep 600 & sleep 600' & sleep 600",
	"wait":                                 "sleep 600 & wait; touch /tmp/went-on",
	"an output that is larger than a pipe": "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
	"a shell that is stopped":              "kill -STOP $$; touch /tmp/went-on; sleep 600",
}

func TestSessionTimeoutKeepsTheState(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(map[string]string{"src/a": "a"}), CommitMode: manual, Permissions: reading()})
	for _, shell := range []string{"bash", "sh"} {
		for name, command := range interruptions {
			t.Run(shell+"/"+name, func(t *testing.T) {
				s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
				s.check(want{command: "rm -f /tmp/went-on; cd src; X='a b'; export Y=2; f() { echo f; }; exec 4>/tmp/four; sleep 599 & J=$!"})
				s.timeOut(command)
				s.check(
					want{command: "pwd; echo \"$X|$Y\"; f; echo four >&4; cat /tmp/four", stdout: "/workspace/src\na b|2\nf\nfour\n"},
					want{command: "kill -0 $J && echo job", stdout: "job\n"},
					want{command: "ls /tmp/went-on 2>/dev/null; pgrep -c 'sleep|yes|cat'; pgrep -f 'sleep 600'; true", stdout: "1\n"},
					want{command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
				)
				s.timeOut(command)
				s.check(want{command: "pwd; f", stdout: "/workspace/src\nf\n"})
				b.drop(t, s)
			})
		}
	}
	if got := b.run(sb, "pgrep -c sleep || true"); got != "0\n" {
		t.Errorf("%s processes are left", strings.TrimSpace(got))
	}
}

// A job that an earlier call began within the same clock tick is not the
// command's.
func TestSessionTimeoutSparesWhatJustBegan(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		for i := range 10 {
			s.exec(fmt.Sprintf("sleep %d &", 700+i))
			_, err := s.try(fmt.Sprintf("sleep %d & sleep 599", 800+i), 50*time.Millisecond)
			wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT")
		}
		s.check(want{command: "pgrep -fc 'sleep 70'; pgrep -fc 'sleep (80|599)'; true", stdout: "10\n0\n"})
		b.drop(t, s)
	}
}

// What is between the end of a command and its timeout must not hurt the next.
func TestSessionTimeoutThatComesLate(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		s.exec("X=kept")
		for i := range 100 {
			_, err := s.try("sleep 0.01", 9*time.Millisecond+time.Duration(i)*40*time.Microsecond)
			if code := status.Code(err); err != nil && code != codes.DeadlineExceeded {
				t.Fatalf("%s: %v", shell, err)
			}
			s.check(want{command: fmt.Sprintf("echo %d $X", i), stdout: fmt.Sprintf("%d kept\n", i)})
		}
		b.drop(t, s)
	}
}

// The end may come before the shell has read the command, or while it is about
// to start something.
func TestSessionTimeoutThatComesEarly(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		s.exec("X=kept")
		for i := range 60 {
			command := []string{"sleep 600", "while :; do :; done", "while :; do true; done"}[i%3]
			_, err := s.try(command, 20*time.Microsecond*time.Duration(1+i*i))
			wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT")
			s.check(want{command: fmt.Sprintf("echo %d $X", i), stdout: fmt.Sprintf("%d kept\n", i)})
		}
		b.drop(t, s)
	}
}

func TestSessionTimeoutOfACommandThatIsNotRead(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		info, err := b.GetSession(ctxOf(t), &sandboxv1.GetSessionRequest{SessionId: s.id})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first command, and a later one
			b.run(sb, fmt.Sprintf("kill -STOP %d", info.GetPid()))
			s.timeOut("while :; do :; done")
			s.check(
				want{command: "echo $X; echo err >&2", stdout: "\n", stderr: "err\n"},
				want{command: "echo out", stdout: "out\n"},
			)
		}
		b.drop(t, s)
	}
}

func TestSessionInterruptedBeforeItsFirstCommand(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	info, err := b.GetSession(ctxOf(t), &sandboxv1.GetSessionRequest{SessionId: s.id})
	if err != nil {
		t.Fatal(err)
	}
	b.run(sb, fmt.Sprintf("kill -64 %d", info.GetPid()))
	_, _ = s.try("true", 5*time.Second) // it may be lost
	s.check(want{command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"})
	b.drop(t, s)
}

func TestSessionThatCannotBeInterruptedIsClosed(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for name, command := range map[string]string{
		"bash": "trap '' 64; while :; do :; done",
		"sh":   "trap '' 64; while :; do :; done",
	} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: name})
		_, err := s.try(command, 200*time.Millisecond)
		wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT")
		if !strings.Contains(err.Error(), "the session is closed") {
			t.Errorf("%s: error does not say that the session is closed: %v", name, err)
		}
		_, err = s.try("true", 0)
		wantError(t, err, codes.FailedPrecondition, "SESSION_CLOSED")
	}
	waitFor(t, "the shells to end", func() bool { return b.run(sb, "pgrep -c 'bash|dash' || true") == "1\n" })
}

func TestSessionClientThatGoesAwayInterrupts(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		s.exec("V=1; sleep 500 &")
		ctx, cancel := context.WithCancel(ctxOf(t))
		stream, err := b.SessionExecStream(ctx, &sandboxv1.SessionExecRequest{SessionId: s.id, Command: "echo begun; setsid sleep 600 & yes | cat"})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); err != nil || !strings.HasPrefix(string(m.GetData()), "begun\n") {
			t.Fatalf("message is %v, %v", m, err)
		}
		time.Sleep(300 * time.Millisecond) // windows and pipes are full now
		cancel()
		s.check(want{command: "echo $V; pgrep -fc 'sleep 600'; pgrep -c 'yes|cat'; pgrep -fc 'sleep 500'", stdout: "1\n0\n0\n1\n"})
		b.drop(t, s)
	}
}
