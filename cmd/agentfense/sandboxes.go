package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// pageSize is how many sandboxes or codebases are asked for at once.
const pageSize = 500

// sandboxJSON is one sandbox in the output of ps and start.
type sandboxJSON struct {
	ID         string            `json:"id"`
	CodebaseID string            `json:"codebase_id"`
	Status     string            `json:"status"`
	Reason     string            `json:"status_reason,omitempty"`
	Runtime    string            `json:"runtime"`
	CommitMode string            `json:"commit_mode"`
	Snapshot   string            `json:"snapshot"`
	Labels     map[string]string `json:"labels"`
	Created    *string           `json:"created_at"`
	Started    *string           `json:"started_at"`
	Stopped    *string           `json:"stopped_at"`
	Expires    *string           `json:"expires_at"`
	Losses     []lossJSON        `json:"losses"`
	Accepted   []string          `json:"accepted_losses,omitempty"`
	Strict     bool              `json:"strict"`
}

var statusNames = map[sandboxv1.SandboxStatus]string{
	sandboxv1.SandboxStatus_SANDBOX_STATUS_PENDING: "pending",
	sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING: "running",
	sandboxv1.SandboxStatus_SANDBOX_STATUS_STOPPED: "stopped",
	sandboxv1.SandboxStatus_SANDBOX_STATUS_ERROR:   "error",
}

var runtimeNames = map[sandboxv1.RuntimeType]string{
	sandboxv1.RuntimeType_RUNTIME_TYPE_UNSPECIFIED: "native",
	sandboxv1.RuntimeType_RUNTIME_TYPE_BWRAP:       "native",
	sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER:      "docker",
}

var commitModeNames = map[sandboxv1.CommitMode]string{
	sandboxv1.CommitMode_COMMIT_MODE_UNSPECIFIED: "on-exec",
	sandboxv1.CommitMode_COMMIT_MODE_ON_EXEC:     "on-exec",
	sandboxv1.CommitMode_COMMIT_MODE_MANUAL:      "manual",
}

// nameOf is the word for an enum's value; a value that we do not know is
// "unknown".
func nameOf[E comparable](names map[E]string, e E) string {
	if name, ok := names[e]; ok {
		return name
	}
	return "unknown"
}

func newSandboxJSON(sb *sandboxv1.Sandbox) sandboxJSON {
	labels := sb.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	return sandboxJSON{
		ID:         sb.GetId(),
		CodebaseID: sb.GetCodebaseId(),
		Status:     nameOf(statusNames, sb.GetStatus()),
		Reason:     sb.GetStatusReason(),
		Runtime:    nameOf(runtimeNames, sb.GetRuntime()),
		CommitMode: nameOf(commitModeNames, sb.GetCommitMode()),
		Snapshot:   sb.GetSnapshot(),
		Labels:     labels,
		Created:    timeJSON(sb.GetCreatedAt()),
		Started:    timeJSON(sb.GetStartedAt()),
		Stopped:    timeJSON(sb.GetStoppedAt()),
		Expires:    timeJSON(sb.GetExpiresAt()),
		Losses:     newLosses(sb.GetLosses()),
		Accepted:   sb.GetAcceptedLosses(),
		Strict:     sb.GetStrict(),
	}
}

// listSandboxes asks for all pages of the sandboxes with all these labels.
func listSandboxes(ctx context.Context, c *client, labels map[string]string) ([]*sandboxv1.Sandbox, error) {
	var all []*sandboxv1.Sandbox
	req := &sandboxv1.ListSandboxesRequest{PageSize: pageSize, Labels: labels}
	for {
		res, err := c.sandboxes.ListSandboxes(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, res.GetSandboxes()...)
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// withClient runs f with a connection to the daemon.
func (a *app) withClient(ctx context.Context, f func(c *client) error) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// eachID runs f for every id and goes on after a failure. What worked is
// printed, one id a line.
func (a *app) eachID(ids []string, f func(id string) error) error {
	failed := false
	for _, id := range ids {
		if err := f(id); err != nil {
			a.complain(fmt.Errorf("%s: %w", quoteName(id), err))
			failed = true
			continue
		}
		fmt.Fprintln(a.stdout, printable(id))
	}
	if failed {
		return &exitError{code: codeFailed}
	}
	return nil
}

// completeSandboxes offers the ids of the daemon's sandboxes.
func (a *app) completeSandboxes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []cobra.Completion
	err := a.withClient(cmd.Context(), func(c *client) error {
		list, err := listSandboxes(cmd.Context(), c, nil)
		for _, sb := range list {
			ids = append(ids, sb.GetId())
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
