package main

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// ruleFlags are --preset and --rule.
type ruleFlags struct {
	preset string
	specs  []string
}

func (f *ruleFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.preset, "preset", policy.DefaultPreset, "named policy to start from; see agentfense policy ls")
	flags.StringArrayVar(&f.specs, "rule", nil, "add a rule, as 'PATTERN=LEVEL[@PRIORITY]'; LEVEL is none, view, read or write; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("preset", completePresets)
}

func completePresets(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, p := range policy.Presets() {
		names = append(names, p.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// rules returns the preset's rules and the user's after them, checked.
func (f *ruleFlags) rules() ([]policy.Rule, *policy.Policy, error) {
	rules, err := policy.Preset(f.preset)
	if err != nil {
		return nil, nil, usagef("%w\nSee agentfense policy ls.", err)
	}
	preset := len(rules)
	for _, spec := range f.specs {
		rule, err := policy.ParseRule(spec)
		if err == nil && !utf8.ValidString(spec) {
			err = errors.New("a pattern is UTF-8; ? stands for any other byte")
		}
		if err != nil {
			return nil, nil, usagef("--rule %q: %w", spec, err)
		}
		rules = append(rules, rule)
	}
	p, err := policy.Compile(rules)
	var bad *policy.RuleError
	if errors.As(err, &bad) && bad.Index >= preset && bad.Index < len(rules) {
		return nil, nil, usagef("--rule %q: %s", f.specs[bad.Index-preset], bad.Reason)
	}
	if err != nil {
		return nil, nil, usagef("cannot use these rules: %w", err)
	}
	return rules, p, nil
}

var wireLevels = map[policy.Level]sandboxv1.Permission{
	policy.None:  sandboxv1.Permission_PERMISSION_NONE,
	policy.View:  sandboxv1.Permission_PERMISSION_VIEW,
	policy.Read:  sandboxv1.Permission_PERMISSION_READ,
	policy.Write: sandboxv1.Permission_PERMISSION_WRITE,
}

var wireTypes = map[policy.PatternType]sandboxv1.PatternType{
	policy.Glob:      sandboxv1.PatternType_PATTERN_TYPE_GLOB,
	policy.Directory: sandboxv1.PatternType_PATTERN_TYPE_DIRECTORY,
	policy.File:      sandboxv1.PatternType_PATTERN_TYPE_FILE,
}

func wireRules(rules []policy.Rule) []*sandboxv1.PermissionRule {
	wire := make([]*sandboxv1.PermissionRule, len(rules))
	for i, r := range rules {
		wire[i] = &sandboxv1.PermissionRule{
			Pattern:    r.Pattern,
			Type:       wireTypes[r.Type],
			Permission: wireLevels[r.Level],
			Priority:   r.Priority,
			Preset:     r.Preset,
		}
	}
	return wire
}

// wireLevel is the level's name as people write it.
func wireLevel(p sandboxv1.Permission) string {
	for level, wire := range wireLevels {
		if wire == p {
			return level.String()
		}
	}
	return "unknown"
}

// origin says where a rule came from.
func origin(preset string) string {
	if preset == "" {
		return "your rule"
	}
	return "preset " + quoteName(preset)
}

// describeRule is one rule for a person: pattern, level, priority, origin.
func describeRule(r *sandboxv1.RuleRef) string {
	if r == nil {
		return "no rule matches"
	}
	return fmt.Sprintf("%s=%s@%d, %s", quoteName(r.GetPattern()), wireLevel(r.GetPermission()), r.GetPriority(), origin(r.GetPreset()))
}
