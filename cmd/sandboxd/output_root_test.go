//go:build root

package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const (
	// leastRate is the least output rate, outputBurst what passes without a wait.
	leastRate   = 64 << 10
	outputBurst = 1 << 20
)

// slow makes a sandbox with an output rate.
func (b *box) slow(rate int64) string {
	b.Helper()
	return b.sandbox(&sandboxv1.CreateSandboxRequest{
		CodebaseId: b.codebase(nil), CommitMode: manual, Resources: &sandboxv1.ResourceLimits{OutputRate: rate},
	})
}

// bytesOf counts what a stream of output has, up to its end.
func bytesOf(recv func() (*sandboxv1.ExecOutput, error)) (n int, err error) {
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += len(m.GetData()) + int(m.GetLost())
	}
}

func TestOutputTakesTheTimeOfItsRate(t *testing.T) {
	const (
		rate = 1 << 20
		size = outputBurst + rate/2
		// held is more than two pipes of 64 KiB and two chunks of 32 KiB hold: nobody
		// waits for what is in them when a command has ended.
		held    = 256 << 10
		command = "head -c 1572864 /dev/zero"
	)
	b := newBox(t)
	for name, write := range map[string]func(sandbox string) (int, error){
		"exec": func(sandbox string) (int, error) {
			res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command, OutputLimit: 2 * size})
			return len(res.GetStdout()), err
		},
		"stderr": func(sandbox string) (int, error) {
			res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command + " >&2", OutputLimit: 2 * size})
			return len(res.GetStderr()), err
		},
		"both": func(sandbox string) (int, error) {
			res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "head -c 786432 /dev/zero & head -c 786432 /dev/zero >&2; wait", OutputLimit: 2 * size})
			return len(res.GetStdout()) + len(res.GetStderr()), err
		},
		"stream": func(sandbox string) (int, error) {
			stream, err := b.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command})
			if err != nil {
				return 0, err
			}
			return bytesOf(stream.Recv)
		},
		"terminal": func(sandbox string) (int, error) {
			return bytesOf(b.sit(ctxOf(t), sandbox, strings.Fields(command)...).Recv)
		},
		"process": func(sandbox string) (int, error) {
			id := b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sandbox, Command: command}})
			b.ended(id)
			return bytesOf(b.attach(ctxOf(t), id).Recv)
		},
		"session": func(sandbox string) (int, error) {
			s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sandbox})
			stream, err := b.SessionExecStream(ctxOf(t), &sandboxv1.SessionExecRequest{SessionId: s.id, Command: command})
			if err != nil {
				return 0, err
			}
			return bytesOf(stream.Recv)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox := b.slow(rate)
			began := time.Now()
			n, err := write(sandbox)
			if err != nil || n != size {
				t.Errorf("%d bytes came, %v; want %d", n, err, size)
			}
			least := time.Duration(float64(size-outputBurst-held) / rate * float64(time.Second))
			if took := time.Since(began); took < least {
				t.Errorf("%d bytes at %d bytes/s took %v, want at least %v", size, rate, took, least)
			}
		})
	}
}

// queued makes a sandbox whose commands have to wait for minutes before they may
// write more: many others wait before them.
func (b *box) queued() string {
	b.Helper()
	sandbox := b.slow(leastRate)
	for range 256 {
		b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "yes"}})
	}
	return sandbox
}

// TestOutputThatWaitsCanBeEnded runs into the context's minute where something
// waits until the output may pass.
func TestOutputThatWaitsCanBeEnded(t *testing.T) {
	b := newBox(t)
	sandbox := b.queued()
	second := durationpb.New(time.Second)
	t.Run("timeout", func(t *testing.T) {
		_, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "yes", Timeout: second})
		wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT")
	})
	t.Run("signal", func(t *testing.T) {
		for _, sig := range []int32{2, 9} {
			stream, err := b.ExecInteractive(ctxOf(t))
			if err != nil {
				t.Fatal(err)
			}
			send(t, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: &sandboxv1.ExecRequest{SandboxId: sandbox, Argv: [][]byte{[]byte("yes")}}}})
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			send(t, stream, &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Signal{Signal: sig}})
			if _, err := bytesOf(stream.Recv); err != nil {
				t.Errorf("after signal %d: %v", sig, err)
			}
		}
	})
	t.Run("terminal", func(t *testing.T) {
		p := b.sit(ctxOf(t), sandbox, "yes")
		p.keys("\x03")
		if exit := p.exit(); exit.GetSignal() != 2 {
			t.Errorf("exit is %v", exit)
		}
	})
	t.Run("process", func(t *testing.T) {
		id := b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "yes"}})
		if _, err := b.processes().SignalProcess(ctxOf(t), &sandboxv1.SignalProcessRequest{ProcessId: id, Signal: 9}); err != nil {
			t.Fatal(err)
		}
		if exit := b.ended(id); exit.GetSignal() != 9 {
			t.Errorf("exit is %v", exit)
		}
	})
	t.Run("client", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctxOf(t))
		stream, err := b.ExecStream(ctx, &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "exec -a gone yes"})
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the command to run", func() bool { return b.tell(sandbox, "pgrep -f '^gone'") != "" })
		cancel()
		if _, err := bytesOf(stream.Recv); err == nil {
			t.Error("a call that was cancelled has no error")
		}
		waitFor(t, "the command to be gone", func() bool { return b.tell(sandbox, "pgrep -f '^gone'") == "" })
	})
	t.Run("session", func(t *testing.T) {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sandbox})
		for _, command := range []string{"yes", "while echo x; do :; done", "while echo x >&2; do :; done"} {
			_, err := s.try(command, time.Second)
			wantError(t, err, codes.DeadlineExceeded, "COMMAND_TIMEOUT")
			if res := s.exec("echo ready"); res.GetStdout() != "ready\n" {
				t.Errorf("after %q the session says %v", command, res)
			}
		}
		s.exec("yes &")
		if res := s.exec("echo beside"); !strings.Contains(res.GetStdout(), "beside\n") {
			t.Errorf("beside a job that writes the session says %.100q", res.GetStdout())
		}
		if _, err := b.DestroySession(ctxOf(t), &sandboxv1.DestroySessionRequest{SessionId: s.id}); err != nil {
			t.Error(err)
		}
	})
	t.Run("job", func(t *testing.T) { // nobody reads what outlives its command
		b.run(sandbox, "yes & true")
	})
	t.Run("sandbox", func(t *testing.T) {
		stream, err := b.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "yes"})
		if err != nil {
			t.Fatal(err)
		}
		b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sandbox}).exec("yes &")
		if _, err := b.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: sandbox}); err != nil {
			t.Error(err)
		}
		_, err = bytesOf(stream.Recv)
		wantError(t, err, codes.FailedPrecondition, "SANDBOX_NOT_RUNNING")
	})
	if _, err := b.StartSandbox(ctxOf(t), &sandboxv1.StartSandboxRequest{SandboxId: sandbox}); err != nil {
		t.Fatal(err)
	}
	// The daemon stops beside all of them.
	b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "yes"}})
	b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sandbox}).exec("yes &")
	b.run(sandbox, "yes & true")
}

func TestOneSandboxsOutputDoesNotWaitForAnothers(t *testing.T) {
	b := newBox(t)
	b.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: b.queued(), Command: "yes"}})
	other := b.slow(leastRate)
	want := strings.Repeat("x", outputBurst)
	res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: other, Command: "head -c 1048576 /dev/zero | tr '\\0' x", OutputLimit: 2 << 20})
	if err != nil || res.GetStdout() != want {
		t.Errorf("another sandbox's first burst is %d bytes, %v", len(res.GetStdout()), err)
	}
}

func TestAnOutputRateMustBePossible(t *testing.T) {
	b := newBox(t, "--max-output-rate", "1000000")
	cb := b.codebase(nil)
	for rate, want := range map[int64]string{
		-1: "least possible, 65536", -1 << 63: "least possible, 65536", 1: "least possible, 65536", 65535: "least possible, 65536",
		1000001: "most possible, 1000000", 1<<63 - 1: "most possible, 1000000",
	} {
		_, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Resources: &sandboxv1.ResourceLimits{OutputRate: rate}})
		if got := wantError(t, err, codes.InvalidArgument, "INVALID_FIELD").GetMetadata()["field"]; got != "resources.output_rate" || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: the error is about %q: %v", rate, got, err)
		}
	}
	info, err := b.GetInfo(ctxOf(t), &sandboxv1.GetInfoRequest{})
	if err != nil || info.GetMaxOutputRate() != 1000000 {
		t.Errorf("info is %v, %v", info, err)
	}
	b.run(b.slow(1000000), "true")
	if text := b.startExpectingFailure("--max-output-rate", "1000"); !strings.Contains(text, "--max-output-rate") {
		t.Errorf("the daemon said %q", text)
	}
}

func TestAnOutputRateLasts(t *testing.T) {
	b := newBox(t)
	sandbox := b.slow(1 << 20)
	fork, err := b.ForkSandbox(ctxOf(t), &sandboxv1.ForkSandboxRequest{SandboxId: sandbox})
	if err != nil || fork.GetResources().GetOutputRate() != 1<<20 {
		t.Errorf("the fork is %v, %v", fork, err)
	}
	for _, most := range []string{"268435456", "0", "100000"} {
		b.crash()
		b.start("--max-output-rate", most)
		want := int64(1 << 20)
		if most == "100000" {
			want = 100000
		}
		for _, id := range []string{sandbox, fork.GetId()} {
			sb, err := b.GetSandbox(ctxOf(t), &sandboxv1.GetSandboxRequest{SandboxId: id})
			if err != nil || sb.GetResources().GetOutputRate() != want {
				t.Errorf("at --max-output-rate %s the sandbox is %v, %v", most, sb, err)
			}
		}
	}
}

func TestAnOutputLimitIsNotNegative(t *testing.T) {
	b := newBox(t)
	sandbox := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	_, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "true", OutputLimit: -1})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sandbox})
	for _, limit := range []int64{-1, -1 << 63} {
		_, err := b.SessionExec(ctxOf(t), &sandboxv1.SessionExecRequest{SessionId: s.id, Command: "true", OutputLimit: limit})
		wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	}
}
