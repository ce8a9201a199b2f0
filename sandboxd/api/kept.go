package api

import (
	"slices"
	"strings"

	"github.com/agentfense/agentfense/policy"
)

// keptAt returns the first place at or below a path that a plan keeps where it
// is: what is mounted can be neither removed nor renamed.
func keptAt(plan policy.Plan, path string) (string, bool) {
	first, found := "", false
	for _, list := range [][]string{plan.Protected, plan.Writable, plan.Files} {
		for _, p := range list {
			if (p == path || strings.HasPrefix(p, path+"/")) && (!found || p < first) {
				first, found = p, true
			}
		}
	}
	return first, found
}

// mayMove reports whether a plan lets names come and go at a path: it is no
// mount, and the nearest one above it is writable.
func mayMove(plan policy.Plan, path string) bool {
	for at := path; ; {
		for _, list := range [][]string{plan.Protected, plan.Files} {
			if _, ok := slices.BinarySearch(list, at); ok {
				return false
			}
		}
		if _, ok := slices.BinarySearch(plan.Writable, at); ok {
			return at != path
		}
		if at == "/" {
			return false
		}
		at = at[:max(strings.LastIndexByte(at, '/'), 1)]
	}
}
