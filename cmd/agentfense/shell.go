package main

import "github.com/spf13/cobra"

// shellScript becomes the shell that the daemon has found: bash or sh.
const shellScript = `exec "$0" -i`

func (a *app) shellCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "shell [flags] ID",
		Short: "Open a shell in a running sandbox",
		Long: `Open a shell in a running sandbox, at your terminal: bash where the sandbox has
it, else sh. It ends with exit or ctrl-d, and when your terminal goes away.`,
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			start, err := f.request(nil)
			if err != nil {
				return err
			}
			start.SandboxId, start.Command = args[0], shellScript
			return a.execRequest(cmd.Context(), start, terminalFlags{interactive: true, tty: true}, false, f.timeout.text)
		},
	}
	f.register(cmd)
	return cmd
}
