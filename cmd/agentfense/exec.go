package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) execCommand() *cobra.Command {
	var f programFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "exec [flags] ID -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a running sandbox",
		Long: `Run a command in a running sandbox. Standard streams, signals and exit codes
are those of agentfense run.`,
		Args:              arguments(cobra.MinimumNArgs(2)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() > 1 {
				return usagef("exec takes one sandbox: put -- right after its id")
			}
			return a.execIn(cmd.Context(), &f, verbose, args[0], args[1:])
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say on stderr what was refused")
	return cmd
}

func (a *app) execIn(ctx context.Context, f *programFlags, verbose bool, id string, argv []string) error {
	start, err := f.request(argv)
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
	start.SandboxId = id
	run := &command{
		client: c.sandboxes, start: start, signals: sigs.ch,
		stdin: a.stdin, stdout: a.stdout, stderr: a.stderr,
	}
	exit, err := run.run(ctx)
	if err != nil {
		return commandError(err, f.timeout.text)
	}
	return a.finish(exit, verbose)
}
