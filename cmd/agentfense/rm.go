package main

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) rmCommand() *cobra.Command {
	var codebase bool
	cmd := &cobra.Command{
		Use:   "rm ID...",
		Short: "Remove sandboxes and the changes in them",
		Long: `Remove sandboxes, running ones too, and the changes in them. Codebases stay
without --codebase; see agentfense codebase rm. The ids that were removed are
printed.`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				return a.eachID(args, func(id string) error {
					return removeSandbox(cmd.Context(), c, id, codebase)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&codebase, "codebase", false, "remove the codebases that they were made from as well")
	return cmd
}

func removeSandbox(ctx context.Context, c *client, id string, codebase bool) error {
	of := ""
	if codebase {
		sb, err := c.sandboxes.GetSandbox(ctx, &sandboxv1.GetSandboxRequest{SandboxId: id})
		if err != nil {
			return err
		}
		of = sb.GetCodebaseId()
	}
	if _, err := c.sandboxes.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: id}); err != nil || of == "" {
		return err
	}
	_, err := c.codebases.DeleteCodebase(ctx, &sandboxv1.DeleteCodebaseRequest{CodebaseId: of})
	if hasCode(err, codes.NotFound) {
		return nil // gone with another sandbox of it
	}
	return err
}
