package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/agentfense/agentfense/policy"
)

// presetJSON is one preset in the output of policy ls and policy show.
type presetJSON struct {
	Name    string     `json:"name"`
	Summary string     `json:"summary"`
	Default bool       `json:"default"`
	Rules   []ruleJSON `json:"rules"`
	Groups  []string   `json:"seccomp_groups"`
}

func newRules(rules []policy.Rule) []ruleJSON {
	out := make([]ruleJSON, len(rules))
	for i, r := range rules {
		out[i] = newRule(r)
	}
	return out
}

func newRule(r policy.Rule) ruleJSON {
	return ruleJSON{
		Pattern: r.Pattern, Type: r.Type.String(), Level: r.Level.String(),
		Priority: r.Priority, Preset: r.Preset,
	}
}

func (a *app) policyCommand() *cobra.Command {
	return group("policy", "Show presets, and explain and check rules",
		a.policyListCommand(), a.policyShowCommand(), a.policyExplainCommand(), a.policyCheckCommand())
}

func presets() []presetJSON {
	var out []presetJSON
	for _, info := range policy.Presets() {
		out = append(out, presetJSON{
			Name: info.Name, Summary: info.Summary, Default: info.Name == policy.DefaultPreset,
			Rules: newRules(info.Rules), Groups: info.Groups,
		})
	}
	return out
}

func (a *app) policyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the presets",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			list := presets()
			return a.print(list, func(t *table) {
				t.row("PRESET", "RULES", "MEANING")
				for _, p := range list {
					name := p.Name
					if p.Default {
						name += " (default)"
					}
					t.row(name, strconv.Itoa(len(p.Rules)), p.Summary)
				}
			})
		},
	}
}

func (a *app) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show PRESET",
		Short:             "Show the rules of a preset",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: completePresets,
		RunE: func(_ *cobra.Command, args []string) error {
			for _, p := range presets() {
				if p.Name == args[0] {
					return a.print(p, func(t *table) {
						t.row("PATTERN", "TYPE", "LEVEL", "PRIORITY")
						for _, r := range p.Rules {
							t.row(quoteName(r.Pattern), r.Type, r.Level, strconv.Itoa(int(r.Priority)))
						}
					})
				}
			}
			return usagef("unknown preset %q\nSee agentfense policy ls.", args[0])
		},
	}
}
