package api

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// OOMKills is what no test of this package needs.
func (*hostProcess) OOMKills() uint64 { return 0 }

// Began is another.
func (*hostProcess) Began() {}

// Interrupt is what a worker does, for the children of the process.
func (p *hostProcess) Interrupt(_ context.Context, i runtime.Interruption) error {
	if err := syscall.Kill(p.PID(), i.Signal); err != nil {
		return nil // it has ended
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, _ := os.ReadFile(path)
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) < 20 || fields[1] != strconv.Itoa(p.PID()) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		start, _ := strconv.ParseInt(fields[19], 10, 64)
		if tick := int64(i.Since / (10 * time.Millisecond)); start > tick || start == tick && pid > int(i.Mark) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return err
}

func (f *fixture) session(req *sandboxv1.CreateSessionRequest) string {
	f.Helper()
	s, err := f.CreateSession(ctxOf(f.T), req)
	if err != nil {
		f.Fatal(err)
	}
	return s.GetId()
}

func (f *fixture) inSession(id, command string) *sandboxv1.ExecResult {
	f.Helper()
	res, err := f.SessionExec(ctxOf(f.T), &sandboxv1.SessionExecRequest{SessionId: id, Command: command})
	if err != nil {
		f.Fatalf("%s: %v", command, err)
	}
	return res
}

func TestSessionKeepsItsState(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Limits.Output = 100 })
	sb := f.sandbox()
	for _, shell := range []string{"bash", "sh"} {
		id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell, Env: map[string]string{"A": "1"}})
		f.inSession(id, "cd /; B=2; f() { echo f; }")
		if res := f.inSession(id, "pwd; echo $A$B; f; echo err >&2; false"); res.GetStdout() != "/\n12\nf\n" || res.GetStderr() != "err\n" || res.GetExitCode() != 1 {
			t.Errorf("%s: result is %v", shell, res)
		}
		_, err := f.SessionExec(ctxOf(t), &sandboxv1.SessionExecRequest{SessionId: id, Command: "sleep 100", Timeout: durationpb.New(50 * time.Millisecond)})
		if meta := wantError(t, err, codes.DeadlineExceeded, ReasonCommandTimeout); meta[keySession] != id || meta[keyTimeout] != "0.05" {
			t.Errorf("%s: metadata is %v", shell, meta)
		}
		if res := f.inSession(id, "pwd; echo $B; f"); res.GetStdout() != "/\n2\nf\n" {
			t.Errorf("%s: after a timeout, output is %q", shell, res.GetStdout())
		}
		if res := f.inSession(id, "head -c 100000 /dev/zero; head -c 100 /dev/zero >&2"); len(res.GetStdout()) != 100 || !res.GetStdoutTruncated() || res.GetStderrTruncated() {
			t.Errorf("%s: kept %d bytes", shell, len(res.GetStdout()))
		}
		if res := f.inSession(id, "exit 3"); res.GetExitCode() != 3 {
			t.Errorf("%s: exit code is %d", shell, res.GetExitCode())
		}
		_, err = f.SessionExec(ctxOf(t), &sandboxv1.SessionExecRequest{SessionId: id, Command: "true"})
		wantError(t, err, codes.FailedPrecondition, ReasonSessionClosed)
	}
}

func TestSessionThatFailsToStartLeavesNothing(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for name, tt := range map[string]struct {
		fails  error
		code   codes.Code
		reason string
	}{
		"no such program": {&runtime.ExecError{Op: "exec", Errno: syscall.ENOENT}, codes.InvalidArgument, ReasonInvalidField},
		"no program":      {&runtime.ExecError{Op: "exec", Errno: syscall.EACCES}, codes.InvalidArgument, ReasonInvalidField},
		"no directory":    {&runtime.ExecError{Op: "chdir", Errno: syscall.ENOENT}, codes.InvalidArgument, ReasonWorkdirNotFound},
		"no processes":    {&runtime.ExecError{Op: "exec", Errno: syscall.EAGAIN}, codes.ResourceExhausted, ReasonLimitExceeded},
		"no sandbox":      {runtime.ErrEnded, codes.FailedPrecondition, ReasonSandboxNotRunning},
	} {
		t.Run(name, func(t *testing.T) {
			f.runtime.execFails = tt.fails
			defer func() { f.runtime.execFails = nil }()
			_, err := f.CreateSession(ctxOf(t), &sandboxv1.CreateSessionRequest{SandboxId: sb, RequestId: name})
			wantError(t, err, tt.code, tt.reason)
		})
	}
	list, err := f.ListSessions(ctxOf(t), &sandboxv1.ListSessionsRequest{SandboxId: sb})
	if err != nil || len(list.GetSessions()) != 0 {
		t.Errorf("sessions are %v, %v", list, err)
	}
}

func TestSessionsEndWithTheirSandbox(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	var ids []string
	for i := range 5 {
		id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb})
		ids = append(ids, id)
		if i%2 == 0 {
			go f.SessionExec(context.Background(), &sandboxv1.SessionExecRequest{SessionId: id, Command: "sleep 100"})
		}
	}
	if _, err := f.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		for {
			s, err := f.GetSession(ctxOf(t), &sandboxv1.GetSessionRequest{SessionId: id})
			if err != nil {
				t.Fatal(err)
			}
			if s.GetStatus() == sandboxv1.SessionStatus_SESSION_STATUS_CLOSED {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func TestSessionIsDestroyedWhileItRuns(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb})
	errs := make(chan error, 3)
	for range 3 { // one runs, two wait
		go func() {
			_, err := f.SessionExec(context.Background(), &sandboxv1.SessionExecRequest{SessionId: id, Command: "sleep 100"})
			errs <- err
		}()
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := f.DestroySession(ctxOf(t), &sandboxv1.DestroySessionRequest{SessionId: id}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantError(t, <-errs, codes.FailedPrecondition, ReasonSessionClosed)
	}
	_, err := f.GetSession(ctxOf(t), &sandboxv1.GetSessionRequest{SessionId: id})
	wantError(t, err, codes.NotFound, ReasonSessionNotFound)
}

func TestSessionRequestIDMakesOneSession(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ids := make(chan string, 8)
	for range 8 {
		go func() {
			s, err := f.CreateSession(ctxOf(t), &sandboxv1.CreateSessionRequest{SandboxId: sb, RequestId: "r"})
			if err != nil {
				t.Error(err)
			}
			ids <- s.GetId()
		}()
	}
	first := <-ids
	for range 7 {
		if id := <-ids; id != first {
			t.Errorf("the same request made %s and %s", first, id)
		}
	}
	if _, err := f.DestroySession(ctxOf(t), &sandboxv1.DestroySessionRequest{SessionId: first}); err != nil {
		t.Fatal(err)
	}
	if again := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb, RequestId: "r"}); again == first {
		t.Error("a session that was destroyed came back")
	}
}

func TestSessionsThatEndedAreForgottenInTheEnd(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for range 70 {
		f.inSession(f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "sh"}), "exit 0")
	}
	for range 100 {
		list, err := f.ListSessions(ctxOf(t), &sandboxv1.ListSessionsRequest{SandboxId: sb})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(list.GetSessions()); n == 64 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("more than 64 sessions that have ended are known")
}

func TestSlowClientOfASession(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb})
	stream, err := f.SessionExecStream(ctxOf(t), &sandboxv1.SessionExecRequest{
		SessionId: id, Command: "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", Timeout: durationpb.New(500 * time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // reads nothing
	if res := f.inSession(id, "echo next"); res.GetStdout() != "next\n" {
		t.Errorf("output is %q", res.GetStdout())
	}
	for err == nil {
		_, err = stream.Recv()
	}
	wantError(t, err, codes.DeadlineExceeded, ReasonCommandTimeout)
}

// What a client does not read keeps nobody from ending the session.
func TestSessionOfAClientThatDoesNotReadIsDestroyed(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	const window = 64<<10 - 1 // or else gRPC chooses one, and may take it all
	conn, err := grpc.NewClient("unix://"+f.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lazy := sandboxv1.NewSandboxServiceClient(conn)
	for name, last := range map[string]string{"ended": "", "exited": "; exit 3"} {
		id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb})
		stream, err := lazy.SessionExecStream(ctxOf(t), &sandboxv1.SessionExecRequest{
			SessionId: id, Command: "head -c 200000 /dev/zero; touch " + name + last,
		})
		if err != nil {
			t.Fatal(err)
		}
		f.until("the end of the command", func() bool {
			time.Sleep(50 * time.Millisecond) // for the report, which comes after
			_, err := os.Stat(filepath.Join(f.runtime.dir, name))
			return err == nil
		})
		ctx, cancel := context.WithTimeout(ctxOf(t), 10*time.Second)
		_, destroyed := f.DestroySession(ctx, &sandboxv1.DestroySessionRequest{SessionId: id})
		cancel()
		if destroyed != nil {
			t.Fatalf("%s: %v", name, destroyed)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		wantError(t, err, codes.FailedPrecondition, ReasonSessionClosed)
	}
}

func TestSessionReportsOfManyCommands(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for _, shell := range []string{"bash", "sh"} {
		id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		for i := range 200 {
			if res := f.inSession(id, fmt.Sprintf("echo %d; (exit %d)", i, i%256)); res.GetStdout() != fmt.Sprintf("%d\n", i) || int(res.GetExitCode()) != i%256 {
				t.Fatalf("%s: result %d is %v", shell, i, res)
			}
		}
	}
}
