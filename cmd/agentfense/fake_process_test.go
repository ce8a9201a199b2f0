package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// openTerminal makes a pseudo-terminal: its far side, and its near one.
func openTerminal() (far, near *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errno
	}
	return os.NewFile(uintptr(fd), "far"), os.NewFile(peer, "near"), nil
}

func setSize(f *os.File, cols, rows uint32) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(cols)})
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// serveTerminal runs a command at a terminal.
func serveTerminal(stream grpc.BidiStreamingServer[sandboxv1.ExecInput, sandboxv1.ExecOutput], cmd *exec.Cmd, size *sandboxv1.WindowSize) error {
	far, near, err := openTerminal()
	if err != nil {
		return err
	}
	defer far.Close()
	if err := setSize(far, size.GetCols(), size.GetRows()); err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = near, near, near
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	near.Close()
	if err != nil {
		return refuse(codes.NotFound, "COMMAND_NOT_FOUND", "%v", err)
	}
	stop := context.AfterFunc(stream.Context(), func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	go func() {
		for {
			in, err := stream.Recv()
			if err != nil {
				return
			}
			switch step := in.GetStep().(type) {
			case *sandboxv1.ExecInput_Stdin:
				_, _ = far.Write(step.Stdin)
			case *sandboxv1.ExecInput_CloseStdin:
				_, _ = far.Write([]byte{4})
			case *sandboxv1.ExecInput_Signal:
				_ = syscall.Kill(-cmd.Process.Pid, syscall.Signal(step.Signal))
			case *sandboxv1.ExecInput_Resize:
				_ = setSize(far, step.Resize.GetCols(), step.Resize.GetRows())
			}
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, err := far.Read(buf)
		if n > 0 {
			_ = stream.Send(&sandboxv1.ExecOutput{Type: sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, Data: slices.Clone(buf[:n])})
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	return stream.Send(&sandboxv1.ExecOutput{Exit: exitOf(cmd)})
}

// fakeProcess runs nothing: it says back what it is told, and ends with 5 when
// its input does.
type fakeProcess struct {
	*sandboxv1.Process
}

func (f *fakeDaemon) Spawn(_ context.Context, req *sandboxv1.SpawnRequest) (*sandboxv1.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(req.GetExec().GetSandboxId()); err != nil {
		return nil, err
	}
	if req.GetRequestId() == "" {
		return nil, refuse(codes.InvalidArgument, "TEST", "want a request id")
	}
	p := &fakeProcess{Process: &sandboxv1.Process{
		Id: f.id("proc"), SandboxId: req.GetExec().GetSandboxId(), Pid: 7, StartedAt: timestamppb.Now(),
		Command: fmt.Sprintf("%s", req.GetExec().GetArgv()), Pty: req.GetExec().GetPty() != nil, OpenStdin: req.GetOpenStdin(),
	}}
	f.processes[p.GetId()] = p
	return p.Process, nil
}

func (f *fakeDaemon) process(id string) (*fakeProcess, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.processes[id]; p != nil {
		return p, nil
	}
	return nil, refuse(codes.NotFound, "PROCESS_NOT_FOUND", "no process %q", id)
}

func (f *fakeDaemon) GetProcess(_ context.Context, req *sandboxv1.GetProcessRequest) (*sandboxv1.Process, error) {
	p, err := f.process(req.GetProcessId())
	if err != nil {
		return nil, err
	}
	return p.Process, nil
}

func (f *fakeDaemon) ListProcesses(context.Context, *sandboxv1.ListProcessesRequest) (*sandboxv1.ListProcessesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	res := &sandboxv1.ListProcessesResponse{}
	for _, p := range f.processes {
		res.Processes = append(res.Processes, p.Process)
	}
	return res, nil
}

func (f *fakeDaemon) SignalProcess(_ context.Context, req *sandboxv1.SignalProcessRequest) (*sandboxv1.Empty, error) {
	p, err := f.process(req.GetProcessId())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Exit = &sandboxv1.ExecExit{Signal: req.GetSignal(), ExitCode: 128 + req.GetSignal()}
	return &sandboxv1.Empty{}, nil
}

func (f *fakeDaemon) Attach(stream grpc.BidiStreamingServer[sandboxv1.AttachInput, sandboxv1.ExecOutput]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	p, err := f.process(first.GetAttach().GetProcessId())
	if err != nil {
		return err
	}
	say := func(text string, lost int64) {
		_ = stream.Send(&sandboxv1.ExecOutput{Type: sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, Data: []byte(text), Lost: lost})
	}
	if p.GetExit() != nil {
		say("the rest\n", 42)
		return stream.Send(&sandboxv1.ExecOutput{Exit: p.GetExit()})
	}
	say("attached\n", 0)
	for {
		in, err := stream.Recv()
		if err != nil {
			return err
		}
		switch step := in.GetStep().(type) {
		case *sandboxv1.AttachInput_Stdin:
			if string(step.Stdin) == "take over" {
				return refuse(codes.Aborted, "TAKEN_OVER", "another client has attached to the process")
			}
			say(fmt.Sprintf("got %q\n", step.Stdin), 0)
		case *sandboxv1.AttachInput_CloseStdin:
			return stream.Send(&sandboxv1.ExecOutput{Exit: &sandboxv1.ExecExit{ExitCode: 5}})
		case *sandboxv1.AttachInput_Signal:
			say(fmt.Sprintf("signal %d\n", step.Signal), 0)
		case *sandboxv1.AttachInput_Resize:
			say(fmt.Sprintf("size %dx%d\n", step.Resize.GetCols(), step.Resize.GetRows()), 0)
		}
	}
}
