package main

import (
	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) forkCommand() *cobra.Command {
	start := false
	cmd := &cobra.Command{
		Use:   "fork ID",
		Short: "Make a sandbox like another",
		Long: `Make a sandbox like another, with the same snapshot, rules and limits and a copy
of its changes, and print its id. The other one may run; its processes stay its
own. While it changes files the copy may have some of them half written.`,
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				sb, err := c.sandboxes.ForkSandbox(cmd.Context(), &sandboxv1.ForkSandboxRequest{SandboxId: args[0], Start: start})
				if err != nil {
					return err
				}
				return a.print(newSandboxJSON(sb), func(t *table) { t.row(printable(sb.GetId())) })
			})
		},
	}
	cmd.Flags().BoolVar(&start, "start", false, "start it too")
	return cmd
}

func (a *app) snapshotCommand() *cobra.Command {
	name := ""
	cmd := &cobra.Command{
		Use:   "snapshot ID",
		Short: "Make a codebase of what a sandbox sees and may commit",
		Long: `Make a codebase of the sandbox's snapshot with its permitted changes, and print
the codebase's id. The sandbox and its own codebase stay as they are.`,
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				cb, err := c.sandboxes.SnapshotSandbox(cmd.Context(), &sandboxv1.SnapshotSandboxRequest{SandboxId: args[0], Name: name})
				if err != nil {
					return err
				}
				return a.print(newCodebaseJSON(cb), func(t *table) { t.row(printable(cb.GetId())) })
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "of the codebase; default that of the sandbox's own")
	return cmd
}
