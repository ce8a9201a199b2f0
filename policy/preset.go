package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// DefaultPreset is the preset of whoever names none.
const DefaultPreset = "view-only"

// ErrUnknownPreset means that no preset has the name.
var ErrUnknownPreset = errors.New("unknown preset")

// PresetInfo describes a preset.
type PresetInfo struct {
	Name string
	// Summary is one line for humans.
	Summary string
	Rules   []Rule
	// Groups are the seccomp groups that its sandboxes may use.
	Groups []string
}

// Preset returns the rules of a preset, or [ErrUnknownPreset].
func Preset(name string) ([]Rule, error) {
	var names []string
	for _, info := range Presets() {
		if info.Name == name {
			return info.Rules, nil
		}
		names = append(names, info.Name)
	}
	return nil, fmt.Errorf("%w %q: have %s", ErrUnknownPreset, name, strings.Join(names, ", "))
}

// Presets returns all presets, sorted by name.
func Presets() []PresetInfo {
	core := []string{"core"}
	debug := []string{"core", "debug"}
	everything := func(level Level) []Rule { return globs(level, 0, "**/*") }
	secrets := []string{"**/.env*", "**/secrets/**", "**/*.key", "**/*.pem"}
	presets := []PresetInfo{
		{"agent-safe", "read everything but secrets and .git; write /output and /tmp", slices.Concat(
			everything(Read),
			globs(Write, 10, "/output/**", "/tmp/**"),
			globs(None, 50, "**/.git/**"),
			globs(None, 100, append(slices.Clone(secrets), "**/credentials*")...),
		), core},
		{"development", "write everything but secrets; debuggers work", slices.Concat(
			everything(Write),
			globs(None, 100, secrets...),
		), debug},
		{"full-access", "write everything; debuggers work", everything(Write), debug},
		{"read-only", "read everything, change nothing", everything(Read), core},
		{"view-only", "see names and attributes, read nothing", everything(View), core},
	}
	for _, info := range presets {
		for i := range info.Rules {
			info.Rules[i].Preset = info.Name
		}
	}
	return presets
}

func globs(level Level, priority int32, patterns ...string) []Rule {
	rules := make([]Rule, len(patterns))
	for i, p := range patterns {
		rules[i] = Rule{Pattern: p, Level: level, Priority: priority}
	}
	return rules
}
