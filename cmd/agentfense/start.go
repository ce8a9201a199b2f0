package main

import (
	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) startCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "start ID",
		Short:             "Start a sandbox that is pending or stopped",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				sb, err := c.sandboxes.StartSandbox(cmd.Context(), &sandboxv1.StartSandboxRequest{SandboxId: args[0]})
				if err != nil {
					return err
				}
				reportLosses(a.stderr, sb)
				return a.print(newSandboxJSON(sb), func(t *table) { t.row(quoteName(sb.GetId())) })
			})
		},
	}
}
