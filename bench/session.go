package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// plainShell is a bash of this host that is told commands through a pipe and
// says through another when one has ended.
type plainShell struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func openPlainShell(dir string) (*plainShell, error) {
	cmd := exec.Command("bash", "--noprofile", "--norc", "-s")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &plainShell{cmd: cmd, in: in, out: bufio.NewReader(out)}
	return s, s.exec("true")
}

func (s *plainShell) exec(command string) error {
	if _, err := fmt.Fprintf(s.in, "%s; echo $?\n", command); err != nil {
		return err
	}
	code, err := s.out.ReadString('\n')
	if err == nil && code != "0\n" {
		err = fmt.Errorf("%q: exit code %q", command, code)
	}
	return err
}

func (s *plainShell) close() error {
	_ = s.in.Close()
	return s.cmd.Wait()
}

// measureSession compares sessions with a shell behind two pipes.
func measureSession(ctx context.Context, b *bench) error {
	codebase, dir, err := b.small(ctx)
	if err != nil {
		return err
	}
	sb, err := b.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE)
	if err != nil {
		return err
	}
	if err := b.sessionCreate(ctx, sb, dir); err != nil {
		return err
	}
	if err := b.sessionExec(ctx, sb, dir); err != nil {
		return err
	}
	return b.destroy(ctx, sb)
}

func (b *bench) openSession(ctx context.Context, sb string) (string, error) {
	s, err := b.sandboxes.CreateSession(ctx, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	return s.GetId(), err
}

func (b *bench) closeSession(ctx context.Context, id string) error {
	_, err := b.sandboxes.DestroySession(ctx, &sandboxv1.DestroySessionRequest{SessionId: id})
	return err
}

// sessionCreate measures from the call to a shell that answers; what ends it
// again does not count.
func (b *bench) sessionCreate(ctx context.Context, sb, dir string) error {
	var ours, plain samples
	for range b.rounds(300) {
		var id string
		took, err := clock(func() (err error) { id, err = b.openSession(ctx, sb); return err })
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if err := b.closeSession(ctx, id); err != nil {
			return err
		}
		var shell *plainShell
		took, err = clock(func() (err error) { shell, err = openPlainShell(dir); return err })
		if err != nil {
			return err
		}
		plain = append(plain, took)
		if err := shell.close(); err != nil {
			return err
		}
	}
	b.table.times("session create", ours, plain, "bash -s behind pipes, first answer")
	return nil
}

func (b *bench) sessionExec(ctx context.Context, sb, dir string) error {
	id, err := b.openSession(ctx, sb)
	if err != nil {
		return err
	}
	shell, err := openPlainShell(dir)
	if err != nil {
		return err
	}
	for _, command := range []string{"true", "/usr/bin/true"} {
		got, err := turns(b.rounds(1000),
			func() error {
				res, err := b.sandboxes.SessionExec(ctx, &sandboxv1.SessionExecRequest{SessionId: id, Command: command})
				if err == nil && res.GetExitCode() != 0 {
					err = fmt.Errorf("%q: exit code %d", command, res.GetExitCode())
				}
				return err
			},
			func() error { return shell.exec(command) },
			func() error { _, err := bare(ctx, dir, command); return err })
		if err != nil {
			return err
		}
		b.table.times("session exec "+command, got[0], got[1], "the same to bash -s behind pipes")
		b.table.times("session exec "+command, got[0], got[2], "bash -c, fork and exec")
	}
	if err := shell.close(); err != nil {
		return err
	}
	return b.closeSession(ctx, id)
}
