package seccomp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrGroup means that a group has no such name.
var ErrGroup = errors.New("unknown seccomp group")

// Groups of system calls.
const (
	Core  = "core"
	Debug = "debug"
)

// Groups returns the names of all groups.
func Groups() []string { return []string{Core, Debug} }

// rules returns what a program for the groups answers, by name of the call.
func rules(groups []string) (map[string]rule, error) {
	for _, g := range groups {
		if !slices.Contains(Groups(), g) {
			return nil, fmt.Errorf("%w: %q", ErrGroup, g)
		}
	}
	out := map[string]rule{}
	put(out, refused, EPERM)
	put(out, coreCalls, Allow)
	put(out, archCalls, Allow)
	put(out, archRefused, EPERM)
	maps.Copy(out, judged)
	if slices.Contains(groups, Debug) {
		put(out, debugCalls, Allow)
		maps.Copy(out, debugJudged)
	}
	return out, nil
}

func put(rules map[string]rule, calls string, answer Answer) {
	for name := range strings.FieldsSeq(calls) {
		rules[name] = rule{rest: answer}
	}
}

// Describe returns what a program for the groups answers, one line a call, in
// order of their names. What it does not list is ENOSYS.
func Describe(groups ...string) ([]string, error) {
	rules, err := rules(groups)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		lines = append(lines, name+": "+rules[name].String())
	}
	return lines, nil
}
