package main

import (
	"fmt"
	"slices"
)

// things are all of one kind: a key that is unique while the machine is up, and
// words for a person.
type things map[string]string

// snapshot is what there is, by kind.
type snapshot map[string]things

// probes finds the things of each kind, in the order in which they are reported.
var probes = []struct {
	kind string
	find func() (things, error)
}{
	{"mount", mounts},
	{"process", processes},
	{"namespace", namespaces},
	{"cgroup", cgroups},
	{"fuse", connections},
	{"bpf", programs},
	{"file", files},
}

func take() (snapshot, error) {
	s := snapshot{}
	for _, p := range probes {
		found, err := p.find()
		if err != nil {
			return nil, fmt.Errorf("cannot look for a leftover %s: %w", p.kind, err)
		}
		s[p.kind] = found
	}
	return s, nil
}

// since lists what s has and before had not.
func (s snapshot) since(before snapshot) []string {
	var left []string
	for _, p := range probes {
		first := len(left)
		for key, words := range s[p.kind] {
			if _, old := before[p.kind][key]; !old {
				left = append(left, p.kind+": "+words)
			}
		}
		slices.Sort(left[first:])
	}
	return left
}
