package main

import (
	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff ID",
		Short: "List what a sandbox changed",
		Long: `List what a sandbox changed: A for added, M for modified, D for deleted, and the
path. A note says what a commit would leave out, and why.`,
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				res, err := c.sandboxes.Diff(cmd.Context(), &sandboxv1.DiffRequest{SandboxId: args[0]})
				if err != nil {
					return err
				}
				return a.print(newChanges(res.GetChanges()), func(t *table) { changeRows(t, res.GetChanges()) })
			})
		},
	}
}
