package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) spawnCommand() *cobra.Command {
	var f programFlags
	var t terminalFlags
	cmd := &cobra.Command{
		Use:   "spawn [flags] ID -- COMMAND [ARGUMENT]...",
		Short: "Start a command in the background of a running sandbox",
		Long: `Start a command in the background of a running sandbox, and print the id of the
process. It goes on when you leave, until it ends or its sandbox does. What it
prints is kept, the newest 1 MiB of it, for agentfense attach.`,
		Args:              arguments(cobra.MinimumNArgs(2)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() > 1 {
				return usagef("spawn takes one sandbox: put -- right after its id")
			}
			exec, err := f.request(args[1:])
			if err != nil {
				return err
			}
			exec.SandboxId = args[0]
			if t.tty {
				s, err := newScreen(a.stdin, false, a.stdout, a.stderr)
				if err != nil {
					return err
				}
				if exec.Pty = s.size(); exec.Pty == nil {
					exec.Pty = &sandboxv1.WindowSize{}
				}
			}
			return a.spawn(cmd.Context(), &sandboxv1.SpawnRequest{Exec: exec, OpenStdin: t.interactive, RequestId: rand.Text()})
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&t.interactive, "interactive", "i", false, "keep standard input open for agentfense attach")
	flags.BoolVarP(&t.tty, "tty", "t", false, "give the command a terminal")
	return cmd
}

func (a *app) spawn(ctx context.Context, req *sandboxv1.SpawnRequest) error {
	return a.withClient(ctx, func(c *client) error {
		p, err := c.processes.Spawn(ctx, req)
		if err != nil {
			return err
		}
		if a.output == outputJSON {
			return a.print(newProcessJSON(p), nil)
		}
		_, err = fmt.Fprintln(a.stdout, printable(p.GetId()))
		return err
	})
}
