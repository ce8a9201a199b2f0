package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// codebaseJSON is one codebase in the output of codebase ls.
type codebaseJSON struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	OwnerID string  `json:"owner_id"`
	Size    int64   `json:"size"`
	Files   int32   `json:"file_count"`
	Head    string  `json:"head"`
	Created *string `json:"created_at"`
	Updated *string `json:"updated_at"`
}

func newCodebaseJSON(cb *sandboxv1.Codebase) codebaseJSON {
	return codebaseJSON{
		ID: cb.GetId(), Name: cb.GetName(), OwnerID: cb.GetOwnerId(),
		Size: cb.GetSize(), Files: cb.GetFileCount(), Head: cb.GetHead(),
		Created: timeJSON(cb.GetCreatedAt()), Updated: timeJSON(cb.GetUpdatedAt()),
	}
}

func (a *app) codebaseCommand() *cobra.Command {
	return group("codebase", "List and remove codebases", a.codebaseListCommand(), a.codebaseRemoveCommand())
}

func (a *app) codebaseListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List codebases",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				list, err := listCodebases(cmd.Context(), c)
				if err != nil {
					return err
				}
				out := make([]codebaseJSON, len(list))
				for i, cb := range list {
					out[i] = newCodebaseJSON(cb)
				}
				now := time.Now()
				return a.print(out, func(t *table) {
					t.row("ID", "NAME", "FILES", "SIZE", "UPDATED")
					for _, cb := range list {
						t.row(quoteName(cb.GetId()), quoteName(cb.GetName()), strconv.Itoa(int(cb.GetFileCount())),
							size(cb.GetSize()), age(cb.GetUpdatedAt(), now))
					}
				})
			})
		},
	}
}

func (a *app) codebaseRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID...",
		Short: "Remove codebases; sandboxes made from them keep their snapshot",
		Args:  arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				return a.eachID(args, func(id string) error {
					_, err := c.codebases.DeleteCodebase(cmd.Context(), &sandboxv1.DeleteCodebaseRequest{CodebaseId: id})
					return err
				})
			})
		},
	}
}

// listCodebases asks for all pages.
func listCodebases(ctx context.Context, c *client) ([]*sandboxv1.Codebase, error) {
	var all []*sandboxv1.Codebase
	req := &sandboxv1.ListCodebasesRequest{PageSize: pageSize}
	for {
		res, err := c.codebases.ListCodebases(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, res.GetCodebases()...)
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}
