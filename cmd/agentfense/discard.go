package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) discardCommand() *cobra.Command {
	restart := false
	cmd := &cobra.Command{
		Use:   "discard ID [PATH]...",
		Short: "Drop changes of a sandbox",
		Long: `Drop changes of a sandbox: it sees its snapshot there again. With paths, only
these and what lies below them. All or nothing. What was committed stays in the
codebase.

The sandbox must not run. With --restart one that runs is stopped, which ends its
processes, and started again, whether the changes could be dropped or not.`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &sandboxv1.DiscardRequest{SandboxId: args[0]}
			for _, p := range args[1:] {
				req.Paths = append(req.Paths, []byte(p))
			}
			return a.withClient(cmd.Context(), func(c *client) error {
				res, err := discard(cmd.Context(), c, req, restart)
				if err != nil {
					return err
				}
				if a.output != outputJSON {
					defer fmt.Fprintf(a.stdout, "%d discarded\n", len(res.GetDiscarded()))
				}
				return a.print(newChanges(res.GetDiscarded()), func(t *table) { changeRows(t, res.GetDiscarded()) })
			})
		},
	}
	cmd.Flags().BoolVar(&restart, "restart", false, "stop the sandbox for it if it runs, and start it again")
	return cmd
}

func discard(ctx context.Context, c *client, req *sandboxv1.DiscardRequest, restart bool) (*sandboxv1.DiscardResponse, error) {
	stopped := false
	if restart {
		_, err := c.sandboxes.StopSandbox(ctx, &sandboxv1.StopSandboxRequest{SandboxId: req.GetSandboxId()})
		if err != nil && !hasCode(err, codes.FailedPrecondition) { // it does not run
			return nil, err
		}
		stopped = err == nil
	}
	res, err := c.sandboxes.Discard(ctx, req)
	if !stopped {
		return res, err
	}
	_, serr := c.sandboxes.StartSandbox(context.WithoutCancel(ctx), &sandboxv1.StartSandboxRequest{SandboxId: req.GetSandboxId()})
	if serr != nil {
		serr = fmt.Errorf("the sandbox is stopped, and does not start again: %w", serr)
	}
	return res, errors.Join(err, serr)
}
