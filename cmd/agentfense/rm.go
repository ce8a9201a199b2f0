package main

import (
	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID...",
		Short: "Remove sandboxes and the changes in them",
		Long: `Remove sandboxes, running ones too, and the changes in them. Codebases stay; see
agentfense codebase rm. The ids that were removed are printed.`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				return a.eachID(args, func(id string) error {
					_, err := c.sandboxes.DestroySandbox(cmd.Context(), &sandboxv1.DestroySandboxRequest{SandboxId: id})
					return err
				})
			})
		},
	}
}
