package main

import (
	"context"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) execCommand() *cobra.Command {
	var f programFlags
	var t terminalFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "exec [flags] ID -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a running sandbox",
		Long: `Run a command in a running sandbox. Standard streams, signals and exit codes
are those of agentfense run. For a shell at your terminal, see agentfense shell.`,
		Args:              arguments(cobra.MinimumNArgs(2)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() > 1 {
				return usagef("exec takes one sandbox: put -- right after its id")
			}
			return a.execIn(cmd.Context(), &f, t, verbose, args[0], args[1:])
		},
	}
	f.register(cmd)
	t.register(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say on stderr what was refused")
	return cmd
}

func (a *app) execIn(ctx context.Context, f *programFlags, t terminalFlags, verbose bool, id string, argv []string) error {
	start, err := f.request(argv)
	if err != nil {
		return err
	}
	start.SandboxId = id
	return a.execRequest(ctx, start, t, verbose, f.timeout.text)
}

// execRequest runs a command in a sandbox that is there.
func (a *app) execRequest(ctx context.Context, start *sandboxv1.ExecRequest, t terminalFlags, verbose bool, timeout string) error {
	screen, stdin, err := a.apply(t, start)
	if err != nil {
		return err
	}
	sigs := catchSignals()
	defer sigs.stop()
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	run := &command{
		open: executing(c, start), signals: sigs.ch, screen: screen,
		stdin: stdin, stdout: a.stdout, stderr: a.stderr,
	}
	exit, err := run.run(ctx)
	if err != nil {
		return commandError(err, timeout)
	}
	return a.finish(exit, verbose)
}
