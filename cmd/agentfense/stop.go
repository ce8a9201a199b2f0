package main

import (
	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop ID...",
		Short: "End every process of sandboxes; their changes stay",
		Long: `End every process of sandboxes. Their changes stay until agentfense rm. The ids
that were stopped are printed.`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				return a.eachID(args, func(id string) error {
					_, err := c.sandboxes.StopSandbox(cmd.Context(), &sandboxv1.StopSandboxRequest{SandboxId: id})
					return err
				})
			})
		},
	}
}
