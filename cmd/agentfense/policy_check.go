package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentfense/agentfense/policy"
)

// checkJSON is the output of policy check.
type checkJSON struct {
	Rules    []ruleJSON    `json:"rules"`
	Warnings []warningJSON `json:"warnings"`
}

// warningJSON is one thing that a rule probably does not mean.
type warningJSON struct {
	Rule    ruleJSON `json:"rule"`
	Message string   `json:"message"`
}

func (a *app) policyCheckCommand() *cobra.Command {
	var f ruleFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check rules, and warn about those that probably mean something else",
		Long: `Check rules, and warn about those that probably mean something else. The exit
code is 0 without warnings, 1 with warnings, 2 if a rule cannot be used.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			rules, _, err := f.rules()
			if err != nil {
				return err
			}
			out := checkJSON{Rules: newRules(rules), Warnings: []warningJSON{}}
			for _, w := range policy.Warnings(rules) {
				out.Warnings = append(out.Warnings, warningJSON{Rule: newRule(rules[w.Index]), Message: w.Reason})
			}
			err = a.print(out, func(t *table) {
				for _, w := range out.Warnings {
					t.row(fmt.Sprintf("%s=%s: %s", quoteName(w.Rule.Pattern), w.Rule.Level, printable(w.Message)))
				}
				if len(out.Warnings) == 0 {
					t.row(fmt.Sprintf("%d rules, no warnings", len(rules)))
				}
			})
			if err == nil && len(out.Warnings) > 0 {
				return &exitError{code: codeFailed}
			}
			return err
		},
	}
	f.register(cmd)
	return cmd
}
