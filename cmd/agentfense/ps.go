package main

import (
	"time"

	"github.com/spf13/cobra"
)

func (a *app) psCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ps",
		Aliases: []string{"ls"},
		Short:   "List sandboxes",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				list, err := listSandboxes(cmd.Context(), c)
				if err != nil {
					return err
				}
				out := make([]sandboxJSON, len(list))
				for i, sb := range list {
					out[i] = newSandboxJSON(sb)
				}
				now := time.Now()
				return a.print(out, func(t *table) {
					t.row("ID", "CODEBASE", "STATUS", "AGE", "REASON")
					for i, sb := range list {
						reason := ""
						if r := sb.GetStatusReason(); r != "" {
							reason = quoteName(r)
						}
						t.row(quoteName(sb.GetId()), quoteName(sb.GetCodebaseId()), out[i].Status, age(sb.GetCreatedAt(), now), reason)
					}
				})
			})
		},
	}
}
