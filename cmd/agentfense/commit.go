package main

import (
	"fmt"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// commitJSON is the output of commit.
type commitJSON struct {
	Head    string       `json:"head"`
	Applied []changeJSON `json:"applied"`
	Refused []changeJSON `json:"refused"`
}

func (a *app) commitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "commit ID [PATH]...",
		Short: "Apply a sandbox's permitted changes to its codebase",
		Long: `Apply a sandbox's permitted changes to its codebase, as one new snapshot: all or
nothing. With paths, only these and what lies below them. Paths are relative to
the codebase's root. Changes that the policy refuses are listed, and are no
failure.`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &sandboxv1.CommitRequest{SandboxId: args[0]}
			for _, p := range args[1:] {
				req.Paths = append(req.Paths, []byte(p))
			}
			return a.withClient(cmd.Context(), func(c *client) error {
				res, err := c.sandboxes.Commit(cmd.Context(), req)
				if err != nil {
					return err
				}
				out := commitJSON{Head: res.GetHead(), Applied: newChanges(res.GetApplied()), Refused: newChanges(res.GetRefused())}
				if a.output != outputJSON {
					defer fmt.Fprintf(a.stdout, "head %s: %d applied, %d refused\n",
						printable(res.GetHead()), len(res.GetApplied()), len(res.GetRefused()))
				}
				return a.print(out, func(t *table) {
					changeRows(t, res.GetApplied())
					changeRows(t, res.GetRefused())
				})
			})
		},
	}
}
