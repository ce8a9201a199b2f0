package api

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// hostTerminal is a pseudo-terminal of the host.
type hostTerminal struct{ *os.File }

func newTerminal(size runtime.Size) (far runtime.Terminal, near *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	t := hostTerminal{os.NewFile(uintptr(fd), "terminal")}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errno
	}
	return t, os.NewFile(peer, "terminal"), t.Resize(size)
}

func (t hostTerminal) Read(b []byte) (int, error) {
	n, err := t.File.Read(b)
	if errors.Is(err, unix.EIO) {
		err = io.EOF
	}
	return n, err
}

func (t hostTerminal) Resize(s runtime.Size) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
	})
	return errors.Join(cerr, err)
}

func (t hostTerminal) EndInput() error {
	_, err := t.Write([]byte{4})
	return err
}

type receiver interface {
	Recv() (*sandboxv1.ExecOutput, error)
}

// output reads a stream to its end.
func output(t *testing.T, stream receiver) (out string, exit *sandboxv1.ExecExit) {
	t.Helper()
	var all strings.Builder
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all.String(), exit
		}
		if err != nil {
			t.Fatalf("after %q: %v", all.String(), err)
		}
		if len(m.GetData()) > 0 && m.GetType() != sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT {
			t.Errorf("type of %q is %v", m.GetData(), m.GetType())
		}
		all.Write(m.GetData())
		if m.GetExit() != nil {
			exit = m.GetExit()
		}
	}
}

func TestStreamOnATerminal(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	for name, tt := range map[string]struct {
		req  *sandboxv1.ExecRequest
		want string
	}{
		"size":               {&sandboxv1.ExecRequest{Command: "stty size", Pty: &sandboxv1.WindowSize{Cols: 100, Rows: 30}}, "30 100\r\n"},
		"the usual size":     {&sandboxv1.ExecRequest{Command: "stty size", Pty: &sandboxv1.WindowSize{}}, "24 80\r\n"},
		"both streams":       {&sandboxv1.ExecRequest{Command: "echo a; echo b >&2", Pty: &sandboxv1.WindowSize{}}, "a\r\nb\r\n"},
		"TERM":               {&sandboxv1.ExecRequest{Command: "echo $TERM", Pty: &sandboxv1.WindowSize{}}, "xterm-256color\r\n"},
		"TERM of the caller": {&sandboxv1.ExecRequest{Command: "echo $TERM", Pty: &sandboxv1.WindowSize{}, Env: map[string]string{"TERM": "vt100"}}, "vt100\r\n"},
		"no terminal":        {&sandboxv1.ExecRequest{Command: "echo $TERM; test -t 1 || echo none"}, "dumb\nnone\n"},
		"input, then its end": {&sandboxv1.ExecRequest{
			Command: "stty -echo; cat; echo end", Stdin: "hi\n", Pty: &sandboxv1.WindowSize{},
		}, "hi\r\nend\r\n"},
		"no input": {&sandboxv1.ExecRequest{Command: "cat; echo end", Pty: &sandboxv1.WindowSize{}}, "end\r\n"},
		"what stays in the background": {&sandboxv1.ExecRequest{
			Command: "(trap '' HUP; while echo noise; do sleep 0.01; done) & echo begun; exit", Pty: &sandboxv1.WindowSize{},
		}, "begun"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.SandboxId = sb
			begin := time.Now()
			stream, err := f.ExecStream(ctxOf(t), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			out, exit := output(t, stream)
			if name == "input, then its end" {
				out = strings.TrimPrefix(out, "hi\r\n") // where the echo was faster than stty
				tt.want = strings.TrimPrefix(tt.want, "hi\r\n")
			}
			if !strings.Contains(out, tt.want) || exit == nil || time.Since(begin) > 5*time.Second {
				t.Errorf("output is %.200q, exit %v after %v; want %q", out, exit, time.Since(begin), tt.want)
			}
		})
	}
}

func TestTerminalErrors(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	_, err := f.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "true", Pty: &sandboxv1.WindowSize{}})
	if meta := wantError(t, err, codes.InvalidArgument, ReasonInvalidField); meta["field"] != "pty" {
		t.Errorf("metadata is %v", meta)
	}
	for name, tt := range map[string]struct {
		start  *sandboxv1.ExecRequest
		resize *sandboxv1.WindowSize
		field  string
	}{
		"too wide":         {&sandboxv1.ExecRequest{Command: "true", Pty: &sandboxv1.WindowSize{Cols: 1 << 16}}, nil, "pty"},
		"resized too much": {&sandboxv1.ExecRequest{Command: "sleep 10", Pty: &sandboxv1.WindowSize{}}, &sandboxv1.WindowSize{Rows: 1 << 16}, "resize"},
		"nothing to size":  {&sandboxv1.ExecRequest{Command: "sleep 10"}, &sandboxv1.WindowSize{Rows: 1}, "resize"},
	} {
		t.Run(name, func(t *testing.T) {
			stream := f.interactive(tt.start, sb)
			if tt.resize != nil {
				stream.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Resize{Resize: tt.resize}})
			}
			var err error
			for err == nil {
				_, err = stream.Recv()
			}
			if meta := wantError(t, err, codes.InvalidArgument, ReasonInvalidField); meta["field"] != tt.field {
				t.Errorf("metadata is %v", meta)
			}
		})
	}
	f.runtime.execFails = runtime.ErrNoTerminal
	_, err = f.Exec(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"})
	wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded)
}

func (f *fixture) interactive(start *sandboxv1.ExecRequest, sb string) grpc.BidiStreamingClient[sandboxv1.ExecInput, sandboxv1.ExecOutput] {
	f.Helper()
	stream, err := f.ExecInteractive(ctxOf(f.T))
	if err != nil {
		f.Fatal(err)
	}
	start.SandboxId = sb
	if err := stream.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: start}}); err != nil {
		f.Fatal(err)
	}
	return stream
}

func TestInteractiveTerminal(t *testing.T) {
	f := newFixture(t)
	stream := f.interactive(&sandboxv1.ExecRequest{
		Command: "trap 'stty size' WINCH; stty -echo; echo ready; read -r x; echo \"got $x\"; read -r x || read -r x; cat; echo end", Pty: &sandboxv1.WindowSize{},
	}, f.sandbox())
	var out strings.Builder
	await := func(text string) {
		t.Helper()
		for !strings.Contains(out.String(), text) {
			m, err := stream.Recv()
			if err != nil {
				t.Fatalf("%q does not come after %q: %v", text, out.String(), err)
			}
			out.Write(m.GetData())
		}
	}
	send := func(in *sandboxv1.ExecInput) {
		t.Helper()
		if err := stream.Send(in); err != nil {
			t.Fatal(err)
		}
	}
	await("ready")
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: []byte("one\r")}})
	await("got one")
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Resize{Resize: &sandboxv1.WindowSize{Cols: 40, Rows: 10}}})
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: []byte("two\r")}})
	await("10 40")
	send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_CloseStdin{CloseStdin: &sandboxv1.Empty{}}})
	rest, exit := output(t, stream)
	if !strings.HasSuffix(out.String()+rest, "end\r\n") || exit.GetExitCode() != 0 {
		t.Errorf("output ends with %q, exit %v", rest, exit)
	}
}

func TestBackPressureReachesATerminal(t *testing.T) {
	f := newFixture(t)
	stream, err := f.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{
		SandboxId: f.sandbox(), Command: "for ((i=0; i<200; i++)); do head -c 65536 /dev/zero; echo $i > count; done", Pty: &sandboxv1.WindowSize{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	count, _ := os.ReadFile(f.runtime.dir + "/count")
	if string(count) == "199\n" {
		t.Error("the command did not wait for its reader")
	}
	total := 0
	for {
		m, err := stream.Recv()
		if err != nil {
			break
		}
		total += len(m.GetData())
	}
	if total < 190*65536 {
		t.Errorf("%d bytes came", total)
	}
}
