package api

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

type attached = grpc.BidiStreamingClient[sandboxv1.AttachInput, sandboxv1.ExecOutput]

func (f *fixture) processes() sandboxv1.ProcessServiceClient {
	return sandboxv1.NewProcessServiceClient(f.conn)
}

func (f *fixture) spawn(req *sandboxv1.SpawnRequest) *sandboxv1.Process {
	f.Helper()
	p, err := f.processes().Spawn(ctxOf(f.T), req)
	if err != nil {
		f.Fatal(err)
	}
	return p
}

// attach returns once the client is attached.
func (f *fixture) attach(ctx context.Context, id string) attached {
	f.Helper()
	stream, err := f.processes().Attach(ctx)
	if err == nil {
		err = stream.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Attach{Attach: &sandboxv1.AttachRequest{ProcessId: id}}})
	}
	if err != nil {
		f.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetStarted().GetPid() == 0 {
		f.Fatalf("first message is %v, %v", m, err)
	}
	return stream
}

func typed(s string) *sandboxv1.AttachInput {
	return &sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Stdin{Stdin: []byte(s)}}
}

var endOfInput = &sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}}

// await waits until a process has ended.
func (f *fixture) await(id string) *sandboxv1.Process {
	f.Helper()
	for range 500 {
		p, err := f.processes().GetProcess(ctxOf(f.T), &sandboxv1.GetProcessRequest{ProcessId: id})
		if err != nil {
			f.Fatal(err)
		}
		if p.GetExit() != nil {
			return p
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.Fatal("the process does not end")
	return nil
}

func TestProcessOutlivesItsClients(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ctx, cancel := context.WithCancel(ctxOf(t))
	p, err := f.processes().Spawn(ctx, &sandboxv1.SpawnRequest{OpenStdin: true, Exec: &sandboxv1.ExecRequest{
		SandboxId: sb, Command: "while read -r x; do echo \"got $x\"; done; exit 4", StdinBytes: []byte("zero\n"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if !strings.HasPrefix(p.GetId(), "proc_") || len(p.GetId()) != 5+32 || p.GetSandboxId() != sb || p.GetPid() == 0 || !p.GetOpenStdin() || p.GetExit() != nil {
		t.Errorf("process is %v", p)
	}
	for _, word := range []string{"one", "two"} {
		ctx, cancel := context.WithCancel(ctxOf(t))
		stream := f.attach(ctx, p.GetId())
		stream.Send(typed(word + "\n"))
		var seen strings.Builder
		for !strings.Contains(seen.String(), "got "+word+"\n") {
			m, err := stream.Recv()
			if err != nil {
				t.Fatalf("after %q: %v", seen.String(), err)
			}
			seen.Write(m.GetData())
		}
		if word == "one" {
			stream.CloseSend() // ends no input
		}
		cancel()
	}
	stream := f.attach(ctxOf(t), p.GetId())
	stream.Send(endOfInput)
	if out, exit := output(t, stream); out != "" || exit.GetExitCode() != 4 {
		t.Errorf("output is %q, exit %v", out, exit)
	}
	p = f.await(p.GetId())
	if p.GetExit().GetExitCode() != 4 || p.GetOpenStdin() {
		t.Errorf("process is %v", p)
	}
	for range 2 {
		if out, exit := output(t, f.attach(ctxOf(t), p.GetId())); out != "" || exit.GetExitCode() != 4 {
			t.Errorf("later, output is %q, exit %v", out, exit)
		}
	}
}

func TestUnreadOutputIsKeptAndCounted(t *testing.T) {
	f := newFixture(t)
	p := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{
		SandboxId: f.sandbox(), Command: "head -c 5000000 /dev/zero; echo end; exit 3",
	}})
	f.await(p.GetId())
	stream := f.attach(ctxOf(t), p.GetId())
	var lost, kept int64
	for {
		m, err := stream.Recv()
		if err != nil {
			break
		}
		if m.GetLost() > 0 && kept > 0 {
			t.Error("a loss is told after what came later")
		}
		lost += m.GetLost()
		kept += int64(len(m.GetData()))
	}
	if kept != 1<<20 || lost+kept != 5000004 {
		t.Errorf("%d bytes kept, %d lost", kept, lost)
	}
}

func TestASecondClientTakesOver(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	p := f.spawn(&sandboxv1.SpawnRequest{OpenStdin: true, Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "cat"}})
	first := f.attach(ctxOf(t), p.GetId())
	second := f.attach(ctxOf(t), p.GetId())
	var err error
	for err == nil {
		_, err = first.Recv()
	}
	if meta := wantError(t, err, codes.Aborted, ReasonTakenOver); meta["process_id"] != p.GetId() {
		t.Errorf("metadata is %v", meta)
	}
	second.Send(typed("to the second"))
	second.Send(endOfInput)
	if out, _ := output(t, second); out != "to the second" {
		t.Errorf("the second client got %q", out)
	}

	// One that does not read gives way too, and what it had not got is not lost.
	p = f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "seq 0 999999"}})
	first = f.attach(ctxOf(t), p.GetId())
	time.Sleep(300 * time.Millisecond)
	second = f.attach(ctxOf(t), p.GetId())
	var parts []string
	for _, stream := range []attached{first, second} {
		var all strings.Builder
		for {
			m, err := stream.Recv()
			if err != nil {
				break
			}
			if m.GetLost() > 0 {
				t.Errorf("%d bytes were lost", m.GetLost())
			}
			all.Write(m.GetData())
		}
		parts = append(parts, all.String())
	}
	lines := strings.Split(strings.Join(parts, ""), "\n")
	if parts[0] == "" || parts[1] == "" || len(lines) != 1000001 || lines[999999] != "999999" {
		t.Errorf("the clients got %d and %d bytes, %d lines", len(parts[0]), len(parts[1]), len(lines))
	}
}

func TestProcessSignals(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	signal := func(id string, n int32) error {
		_, err := f.processes().SignalProcess(ctxOf(t), &sandboxv1.SignalProcessRequest{ProcessId: id, Signal: n})
		return err
	}
	p := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "trap 'exit 9' TERM; touch up; while sleep 0.02; do :; done"}})
	for range 200 {
		if _, err := os.Stat(f.runtime.dir + "/up"); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := signal(p.GetId(), 15); err != nil {
		t.Error(err)
	}
	if got := f.await(p.GetId()).GetExit().GetExitCode(); got != 9 {
		t.Errorf("exit code %d", got)
	}
	meta := wantError(t, signal(p.GetId(), 15), codes.FailedPrecondition, ReasonCommandEnded)
	if meta["process_id"] != p.GetId() || meta["sandbox_id"] != sb {
		t.Errorf("metadata is %v", meta)
	}
	wantError(t, signal(p.GetId(), 99), codes.InvalidArgument, ReasonInvalidField)
	wantError(t, signal("proc_x", 15), codes.NotFound, ReasonProcessNotFound)
	p = f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 60"}})
	f.attach(ctxOf(t), p.GetId()).Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Signal{Signal: 9}})
	if got := f.await(p.GetId()).GetExit().GetSignal(); got != 9 {
		t.Errorf("signal %d", got)
	}
}

func TestProcessOnATerminal(t *testing.T) {
	f := newFixture(t)
	p := f.spawn(&sandboxv1.SpawnRequest{OpenStdin: true, Exec: &sandboxv1.ExecRequest{
		SandboxId: f.sandbox(), Command: "stty -echo; stty size; read -r x; stty size; cat; echo $TERM", Pty: &sandboxv1.WindowSize{Cols: 90, Rows: 20},
	}})
	if !p.GetPty() {
		t.Errorf("process is %v", p)
	}
	time.Sleep(100 * time.Millisecond)
	stream := f.attach(ctxOf(t), p.GetId())
	stream.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Resize{Resize: &sandboxv1.WindowSize{Cols: 91, Rows: 21}}})
	stream.Send(typed("go\r"))
	stream.Send(endOfInput)
	out, _ := output(t, stream)
	if out = strings.TrimPrefix(out, "go\r\n"); out != "20 90\r\n21 91\r\nxterm-256color\r\n" {
		t.Errorf("output is %q", out)
	}
}

func TestProcessTimeout(t *testing.T) {
	f := newFixture(t)
	p := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: f.sandbox(), Command: "echo begun; sleep 60", Timeout: durationpb.New(200 * time.Millisecond)}})
	stream := f.attach(ctxOf(t), p.GetId())
	var exit *sandboxv1.ExecExit
	for {
		m, err := stream.Recv()
		if err != nil {
			wantError(t, err, codes.DeadlineExceeded, ReasonCommandTimeout)
			break
		}
		if m.GetExit() != nil {
			exit = m.GetExit()
		}
	}
	if exit.GetSignal() != 9 || exit.GetExitCode() != 137 {
		t.Errorf("exit is %v", exit)
	}
}

func TestAttachErrors(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	open := f.spawn(&sandboxv1.SpawnRequest{OpenStdin: true, Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 60"}}).GetId()
	shut := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 60"}}).GetId()
	attach := func(id string) *sandboxv1.AttachInput {
		return &sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Attach{Attach: &sandboxv1.AttachRequest{ProcessId: id}}}
	}
	resize := &sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Resize{Resize: &sandboxv1.WindowSize{}}}
	for name, tt := range map[string]struct {
		steps  []*sandboxv1.AttachInput
		code   codes.Code
		reason string
	}{
		"stdin first":             {[]*sandboxv1.AttachInput{typed("x")}, codes.InvalidArgument, ReasonUnexpectedStep},
		"no id":                   {[]*sandboxv1.AttachInput{attach("")}, codes.InvalidArgument, ReasonMissingField},
		"no process":              {[]*sandboxv1.AttachInput{attach("proc_x")}, codes.NotFound, ReasonProcessNotFound},
		"attach twice":            {[]*sandboxv1.AttachInput{attach(open), attach(open)}, codes.InvalidArgument, ReasonUnexpectedStep},
		"an empty message":        {[]*sandboxv1.AttachInput{attach(open), {}}, codes.InvalidArgument, ReasonUnexpectedStep},
		"no terminal to resize":   {[]*sandboxv1.AttachInput{attach(open), resize}, codes.InvalidArgument, ReasonInvalidField},
		"stdin that was not open": {[]*sandboxv1.AttachInput{attach(shut), typed("x")}, codes.InvalidArgument, ReasonUnexpectedStep},
		"end of a closed stdin":   {[]*sandboxv1.AttachInput{attach(shut), endOfInput}, codes.InvalidArgument, ReasonUnexpectedStep},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := f.processes().Attach(ctxOf(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range tt.steps {
				stream.Send(step)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			wantError(t, err, tt.code, tt.reason)
		})
	}
	_, err := f.processes().Spawn(ctxOf(t), &sandboxv1.SpawnRequest{})
	wantError(t, err, codes.InvalidArgument, ReasonMissingField)
	_, err = f.processes().Spawn(ctxOf(t), &sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: "sb_x", Command: "true"}})
	wantError(t, err, codes.NotFound, ReasonSandboxNotFound)
}

func TestRacingRequestsStartOneProcess(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			ctx := ctxOf(t)
			if i%2 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*500*time.Microsecond) // gone before the answer
				defer cancel()
			}
			p, _ := f.processes().Spawn(ctx, &sandboxv1.SpawnRequest{RequestId: "r", Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "echo >> count; sleep 60"}})
			ids[i] = p.GetId()
		})
	}
	all.Wait()
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	slices.Sort(ids)
	if got := slices.Compact(slices.Clone(ids)); len(got) != 1 || len(ids) < 10 {
		t.Errorf("ids are %q", ids)
	}
	time.Sleep(100 * time.Millisecond)
	if count, _ := os.ReadFile(f.runtime.dir + "/count"); string(count) != "\n" {
		t.Errorf("the command ran %d times", len(count))
	}
	list, err := f.processes().ListProcesses(ctxOf(t), &sandboxv1.ListProcessesRequest{SandboxId: sb})
	if err != nil || len(list.GetProcesses()) != 1 || list.GetProcesses()[0].GetCommand() != "echo >> count; sleep 60" {
		t.Errorf("processes are %v, %v", list, err)
	}
}

func TestProcessesEndWithTheirSandbox(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	runs := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "echo begun; sleep 60"}}).GetId()
	ended := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"}}).GetId()
	f.await(ended)
	stream := f.attach(ctxOf(t), runs)
	if m, err := stream.Recv(); err != nil || string(m.GetData()) != "begun\n" {
		t.Fatalf("message is %v, %v", m, err)
	}
	if _, err := f.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	var exit *sandboxv1.ExecExit
	var err error
	for err == nil {
		var m *sandboxv1.ExecOutput
		m, err = stream.Recv()
		if m.GetExit() != nil {
			exit = m.GetExit()
		}
	}
	if errors.Is(err, io.EOF) && exit.GetSignal() != 9 {
		t.Errorf("the process has ended well: %v", exit)
	}
	for _, id := range []string{runs, ended} {
		_, err := f.processes().GetProcess(ctxOf(t), &sandboxv1.GetProcessRequest{ProcessId: id})
		wantError(t, err, codes.NotFound, ReasonProcessNotFound)
	}
	list, err := f.processes().ListProcesses(ctxOf(t), &sandboxv1.ListProcessesRequest{SandboxId: sb})
	if err != nil || len(list.GetProcesses()) != 0 {
		t.Errorf("processes are %v, %v", list, err)
	}
	_, err = f.processes().Spawn(ctxOf(t), &sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"}})
	wantError(t, err, codes.FailedPrecondition, ReasonSandboxNotRunning)
}

func TestProcessesCountAsCommands(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Limits.Commands = 1 })
	sb := f.sandbox()
	id := f.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 60"}}).GetId()
	_, err := f.processes().Spawn(ctxOf(t), &sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"}})
	wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded)
	if _, err := f.processes().SignalProcess(ctxOf(t), &sandboxv1.SignalProcessRequest{ProcessId: id, Signal: 9}); err != nil {
		t.Error(err)
	}
	f.await(id)
	f.exec(&sandboxv1.ExecRequest{SandboxId: sb, Command: "true"})
}
