package api

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func TestExecBuildsTheCommand(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for name, tt := range map[string]struct {
		req  *sandboxv1.ExecRequest
		argv []string
		dir  string
	}{
		"a command goes to bash":       {&sandboxv1.ExecRequest{Command: "true; true"}, []string{"/bin/bash", "-c", "true; true"}, "/workspace"},
		"argv is taken as it is":       {&sandboxv1.ExecRequest{Command: "x", Argv: [][]byte{[]byte("true"), []byte("a b"), {}}}, []string{"true", "a b", ""}, "/workspace"},
		"a relative workdir":           {&sandboxv1.ExecRequest{Command: "true", Workdir: "src/../x"}, []string{"/bin/bash", "-c", "true"}, "/workspace/src/../x"},
		"an absolute workdir is as is": {&sandboxv1.ExecRequest{Command: "true", Workdir: "/tmp"}, []string{"/bin/bash", "-c", "true"}, "/tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.SandboxId = sb
			f.exec(tt.req)
			spec := f.runtime.specs[len(f.runtime.specs)-1]
			if !slices.Equal(spec.Argv, tt.argv) || spec.Dir != tt.dir {
				t.Errorf("command is %q in %q, want %q in %q", spec.Argv, spec.Dir, tt.argv, tt.dir)
			}
		})
	}
	f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "true", Env: map[string]string{"HOME": "/x", "NEW": "1"}})
	env := f.runtime.specs[len(f.runtime.specs)-1].Env
	homes := slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return !strings.HasPrefix(kv, "HOME=") })
	if !slices.Equal(homes, []string{"HOME=/x"}) || !slices.Contains(env, "NEW=1") || !slices.Contains(env, "USER=agent") {
		t.Errorf("environment is %q", env)
	}
}

func TestExecResults(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Limits.Output = 100 })
	sb := f.sandbox()
	res := f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: `printf 'a\377b'; echo err >&2; exit 3`})
	if res.GetStdout() != "a\uFFFDb" || string(res.GetStdoutBytes()) != "a\xffb" || res.GetStderr() != "err\n" || res.GetStderrBytes() != nil || res.GetExitCode() != 3 {
		t.Errorf("result is %v", res)
	}
	res = f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "head -c 1000000 /dev/zero; head -c 100 /dev/zero >&2"})
	if len(res.GetStdout()) != 100 || !res.GetStdoutTruncated() || len(res.GetStderr()) != 100 || res.GetStderrTruncated() {
		t.Errorf("kept %d (%v) and %d (%v) bytes", len(res.GetStdout()), res.GetStdoutTruncated(), len(res.GetStderr()), res.GetStderrTruncated())
	}
	res = f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "cat | wc -c", StdinBytes: make([]byte, 300_000)})
	if strings.TrimSpace(res.GetStdout()) != "300000" {
		t.Errorf("the command read %s bytes", res.GetStdout())
	}
}

func TestOutputOfAProcessThatStaysIsDropped(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	begin := time.Now()
	res := f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "echo first; (sleep 0.3; head -c 200000 /dev/zero && touch written) & exit 0"})
	if took := time.Since(begin); res.GetStdout() != "first\n" || took > 250*time.Millisecond {
		t.Errorf("output is %q after %v", res.GetStdout(), took)
	}
	for range 100 { // the process can write as much as it wants
		if _, err := os.Stat(filepath.Join(f.runtime.dir, "written")); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the process that stayed could not write")
}

func TestAllOutputOfACommandArrives(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for range 50 {
		res := f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2"})
		if len(res.GetStdout()) != 60000 || len(res.GetStderr()) != 60000 {
			t.Fatalf("got %d and %d bytes", len(res.GetStdout()), len(res.GetStderr()))
		}
	}
}

func TestExecErrors(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for name, tt := range map[string]struct {
		req    *sandboxv1.ExecRequest
		fails  error
		code   codes.Code
		reason string
	}{
		"timeout":       {&sandboxv1.ExecRequest{Command: "sleep 10", Timeout: durationpb.New(50 * time.Millisecond)}, nil, codes.DeadlineExceeded, ReasonCommandTimeout},
		"bad timeout":   {&sandboxv1.ExecRequest{Command: "true", Timeout: durationpb.New(-1)}, nil, codes.InvalidArgument, ReasonInvalidField},
		"no command":    {&sandboxv1.ExecRequest{}, nil, codes.InvalidArgument, ReasonMissingField},
		"empty program": {&sandboxv1.ExecRequest{Argv: [][]byte{{}}}, nil, codes.InvalidArgument, ReasonInvalidField},
		"NUL":           {&sandboxv1.ExecRequest{Argv: [][]byte{[]byte("a\x00")}}, nil, codes.InvalidArgument, ReasonInvalidField},
		"bad variable":  {&sandboxv1.ExecRequest{Command: "true", Env: map[string]string{"a=b": ""}}, nil, codes.InvalidArgument, ReasonInvalidField},
		"NUL in a dir":  {&sandboxv1.ExecRequest{Command: "true", Workdir: "\x00"}, nil, codes.InvalidArgument, ReasonInvalidPath},
		"workdir":       {&sandboxv1.ExecRequest{Command: "true"}, &runtime.ExecError{Op: "chdir", Errno: syscall.ENOENT}, codes.InvalidArgument, ReasonWorkdirNotFound},
		"ended":         {&sandboxv1.ExecRequest{Command: "true"}, runtime.ErrEnded, codes.FailedPrecondition, ReasonSandboxNotRunning},
		"too many":      {&sandboxv1.ExecRequest{Command: "true"}, runtime.ErrTooManyExecs, codes.ResourceExhausted, ReasonLimitExceeded},
		"no processes":  {&sandboxv1.ExecRequest{Command: "true"}, &runtime.ExecError{Op: "exec", Errno: syscall.EAGAIN}, codes.ResourceExhausted, ReasonLimitExceeded},
		"disk":          {&sandboxv1.ExecRequest{Command: "true"}, &os.PathError{Err: syscall.ENOSPC}, codes.ResourceExhausted, ReasonDiskFull},
		"anything else": {&sandboxv1.ExecRequest{Command: "true"}, errors.New("surprise"), codes.Internal, ReasonInternal},
	} {
		t.Run(name, func(t *testing.T) {
			f.runtime.execFails = tt.fails
			defer func() { f.runtime.execFails = nil }()
			tt.req.SandboxId = sb
			_, err := f.Exec(ctxOf(t), tt.req)
			wantError(t, err, tt.code, tt.reason)
			stream, err := f.ExecStream(ctxOf(t), tt.req)
			if err == nil {
				for err == nil {
					_, err = stream.Recv()
				}
			}
			wantError(t, err, tt.code, tt.reason)
		})
	}
}

func TestATimeoutIsAnAnswerForAClientThatWantsOne(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	id := f.session(&sandboxv1.CreateSessionRequest{SandboxId: sb})
	const command = "echo out; echo err >&2; sleep 100"
	limit := durationpb.New(200 * time.Millisecond)
	for name, call := range map[string]func() (*sandboxv1.ExecResult, error){
		"Exec": func() (*sandboxv1.ExecResult, error) {
			return f.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: command, Timeout: limit, AnswerTimeout: true})
		},
		"SessionExec": func() (*sandboxv1.ExecResult, error) {
			return f.SessionExec(ctxOf(t), &sandboxv1.SessionExecRequest{SessionId: id, Command: command, Timeout: limit, AnswerTimeout: true})
		},
	} {
		res, err := call()
		if err != nil || res.GetStdout() != "out\n" || res.GetStderr() != "err\n" {
			t.Errorf("%s: got %v, %v", name, res, err)
		}
		if meta := res.GetTimedOut(); meta[keyTimeout] != "0.2" || meta[keyCommand] != command || meta[keySandbox] != sb {
			t.Errorf("%s: the timeout is %v", name, meta)
		}
	}
	res := f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "true", Timeout: limit, AnswerTimeout: true})
	if len(res.GetTimedOut()) != 0 {
		t.Errorf("a command that ended by itself has the timeout %v", res.GetTimedOut())
	}
	_, err := f.Exec(ctxOf(t), &sandboxv1.ExecRequest{Command: "true", AnswerTimeout: true})
	wantError(t, err, codes.InvalidArgument, ReasonMissingField)
}

func TestBackPressureReachesTheCommand(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ctx, cancel := context.WithCancel(ctxOf(t))
	defer cancel()
	stream, err := f.ExecStream(ctx, &sandboxv1.ExecRequest{SandboxId: sb, Command: "for ((i=0; ; i++)); do head -c 65536 /dev/zero || exit; echo $i > count; done"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	count := func() string {
		data, _ := os.ReadFile(filepath.Join(f.runtime.dir, "count"))
		return string(data)
	}
	// It stands still once the windows and the pipe are full.
	last, since := "", time.Now()
	for deadline := since.Add(time.Minute); last == "" || time.Since(since) < time.Second; time.Sleep(50 * time.Millisecond) {
		if now := count(); now != last {
			last, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("the command goes on, at chunk %q", last)
		}
	}
	cancel()
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
}

func TestInteractiveStdinAndSignals(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	stream, err := f.ExecInteractive(ctxOf(t))
	if err != nil {
		t.Fatal(err)
	}
	send := func(in *sandboxv1.ExecInput) {
		t.Helper()
		if err := stream.Send(in); err != nil {
			t.Fatal(err)
		}
	}
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: &sandboxv1.ExecRequest{
		SandboxId: sb, Command: "trap 'echo int' INT; cat; echo eof; read -t 0.1; while sleep 0.05; do :; done", Stdin: "zero ",
	}}})
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: []byte("one\n")}})
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}})
	var out strings.Builder
	signalled := 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Write(m.GetData())
		if exit := m.GetExit(); exit != nil && exit.GetSignal() != 9 {
			t.Errorf("exit is %v", exit)
		}
		if strings.HasSuffix(out.String(), "eof\n") && signalled == 0 {
			signalled = 1
			send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Signal{Signal: 9}})
		}
	}
	if out.String() != "zero one\neof\n" {
		t.Errorf("output is %q", out.String())
	}
}

func TestInteractiveRefusesWhatIsOutOfOrder(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	start := &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 10"}}}
	stdin := &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: []byte("x")}}
	closeStdin := &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}}
	for name, tt := range map[string]struct {
		steps  []*sandboxv1.ExecInput
		reason string
	}{
		"stdin first":       {[]*sandboxv1.ExecInput{stdin}, ReasonUnexpectedStep},
		"two starts":        {[]*sandboxv1.ExecInput{start, start}, ReasonUnexpectedStep},
		"an empty message":  {[]*sandboxv1.ExecInput{start, {}}, ReasonUnexpectedStep},
		"stdin after close": {[]*sandboxv1.ExecInput{start, closeStdin, stdin}, ReasonUnexpectedStep},
		"no signal":         {[]*sandboxv1.ExecInput{start, {Step: &sandboxv1.ExecInput_Signal{Signal: 99}}}, ReasonInvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := f.ExecInteractive(ctxOf(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range tt.steps {
				stream.Send(step)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			wantError(t, err, codes.InvalidArgument, tt.reason)
		})
	}
}

func TestCallerThatLeavesEndsTheCommand(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := f.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 60 & sleep 60; touch survived"})
	if err == nil || time.Since(begin) > 3*time.Second {
		t.Errorf("error is %v after %v", err, time.Since(begin))
	}
	f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "true"})
	if _, err := os.Stat(filepath.Join(f.runtime.dir, "survived")); err == nil {
		t.Error("the command went on")
	}
}

func TestCommandsPerOwnerAreBounded(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Limits.Commands = 2 })
	sb := f.sandbox()
	for range 2 {
		stream, err := f.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "echo; sleep 10"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"})
	if meta := wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded); meta["limit"] != "2" || meta["resource"] != "commands-per-owner" {
		t.Errorf("metadata is %v", meta)
	}
}
