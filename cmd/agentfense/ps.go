package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) psCommand() *cobra.Command {
	var quiet bool
	var labels []string
	cmd := &cobra.Command{
		Use:     "ps",
		Aliases: []string{"ls"},
		Short:   "List sandboxes",
		Example: `  agentfense rm $(agentfense ps -q --label job=nightly)`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := parsePairs(labels)
			if err != nil {
				return usagef("--label: %v", err)
			}
			return a.withClient(cmd.Context(), func(c *client) error {
				list, err := listSandboxes(cmd.Context(), c, wanted)
				if err != nil {
					return err
				}
				if quiet {
					for _, sb := range list {
						fmt.Fprintln(a.stdout, printable(sb.GetId()))
					}
					return nil
				}
				out := make([]sandboxJSON, len(list))
				for i, sb := range list {
					out[i] = newSandboxJSON(sb)
				}
				now := time.Now()
				return a.print(out, func(t *table) {
					t.row("ID", "CODEBASE", "STATUS", "AGE", "REASON", "LABELS")
					for i, sb := range list {
						reason := ""
						if r := sb.GetStatusReason(); r != "" {
							reason = quoteName(r)
						}
						t.row(quoteName(sb.GetId()), quoteName(sb.GetCodebaseId()), out[i].Status, age(sb.GetCreatedAt(), now), reason, labelText(sb.GetLabels()))
					}
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the ids and nothing else")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "only sandboxes with this label, as KEY=value; may be repeated")
	return cmd
}

// labelText is labels in one cell of a table.
func labelText(labels map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, quoteName(key+"="+labels[key]))
	}
	return strings.Join(pairs, " ")
}
