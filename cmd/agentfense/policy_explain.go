package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentfense/agentfense/policy"
)

// explainJSON is the output of policy explain.
type explainJSON struct {
	pathJSON
	Level string `json:"level"`
	// Rule decided; null if none matches.
	Rule *ruleJSON `json:"rule"`
	// Matches are all rules that match, in the order in which they win.
	Matches []ruleJSON `json:"matches"`
	// InPlace means that an existing entry can be changed, but no new one made.
	InPlace bool `json:"in_place"`
	// Directory says how it is in --dir; null without.
	Directory *foundJSON `json:"directory"`
}

// foundJSON is what --dir has at a path.
type foundJSON struct {
	Exists bool   `json:"exists"`
	Kind   string `json:"kind"`
	// Visible means that a sandbox sees the entry, if only as a bare directory.
	Visible bool `json:"visible"`
	// Created means that a sandbox gets an empty directory there.
	Created bool `json:"created"`
}

func (a *app) policyExplainCommand() *cobra.Command {
	var f ruleFlags
	var dir string
	cmd := &cobra.Command{
		Use:   "explain PATH",
		Short: "Say what a policy makes of a path, and which rule decides",
		Long: `Say what a policy makes of a path, and which rule decides. The path is relative
to the codebase's root. With --dir, also what a sandbox over that directory
would see there.`,
		Example: `  agentfense policy explain /config/.env.local --preset agent-safe
  agentfense policy explain docs/a.md --rule '/docs/**=read' --dir .`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			rules, p, err := f.rules()
			if err != nil {
				return err
			}
			path, err := codebasePath(args[0])
			if err != nil {
				return err
			}
			out := explain(p, rules, path)
			if dir != "" {
				if out.Directory, err = findIn(dir, p, path); err != nil {
					return err
				}
			}
			return a.print(out, out.rows)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&dir, "dir", "", "directory to look the path up in")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// codebasePath is path with a leading slash and without empty components.
func codebasePath(path string) (string, error) {
	parts := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
	if slices.Contains(parts, "..") {
		return "", usagef("%s: a path in a codebase has no ..", quoteName(path))
	}
	return "/" + strings.Join(parts, "/"), nil
}

func explain(p *policy.Policy, rules []policy.Rule, path string) explainJSON {
	e := p.Explain(path)
	out := explainJSON{
		pathJSON: newPath([]byte(path)), Level: e.Verdict.Level.String(),
		Matches: []ruleJSON{}, InPlace: e.InPlace,
	}
	numbered := func(i int) ruleJSON {
		r, index := newRule(rules[i]), int32(i)
		r.Index = &index
		return r
	}
	for _, i := range e.Matches {
		out.Matches = append(out.Matches, numbered(i))
	}
	if e.Verdict.Rule != policy.NoRule {
		r := numbered(e.Verdict.Rule)
		out.Rule = &r
	}
	return out
}

var levelMeanings = map[string]string{
	"none":  "does not exist for the sandbox",
	"view":  "listed with its attributes, cannot be read",
	"read":  "can be read and executed, not changed",
	"write": "can be read and changed, in the sandbox's own delta",
}

func (e explainJSON) rows(t *table) {
	exact := e.Path
	if e.Bytes != nil {
		exact = string(e.Bytes)
	}
	t.row(fmt.Sprintf("%s: %s (%s)", quoteName(exact), e.Level, levelMeanings[e.Level]))
	if len(e.Matches) == 0 {
		t.row("  no rule matches")
	}
	for _, r := range e.Matches {
		what := "outranked"
		if e.Rule != nil && *r.Index == *e.Rule.Index {
			what = "decides"
		}
		t.row("  "+what, fmt.Sprintf("rule %d", *r.Index), fmt.Sprintf("%s=%s@%d", quoteName(r.Pattern), r.Level, r.Priority), origin(r.Preset))
	}
	if e.InPlace {
		t.row("  only if it exists: making new names here needs a rule for the directory, such as /dir/**=write")
	}
	if e.Directory != nil {
		t.row("  " + e.Directory.sentence())
	}
}

func (f *foundJSON) sentence() string {
	switch {
	case f.Created:
		return "the directory lacks it: a sandbox gets an empty directory there"
	case !f.Exists:
		return "the directory lacks it"
	case !f.Visible:
		return "the directory has it (" + f.Kind + "); a sandbox does not see it"
	}
	return "the directory has it (" + f.Kind + "); a sandbox sees it"
}
