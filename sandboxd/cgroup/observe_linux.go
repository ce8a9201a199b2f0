package cgroup

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/agentfense/agentfense/sandboxd/host"
)

// Observed is a group that somebody else made and removes.
type Observed struct {
	events string // the file that counts its kills; empty: none are expected
}

// Observe returns the group that a process is in, which has a memory limit of so
// many bytes, or none. What the first version counts apart from that limit gets
// one of its own, as it does in a [Tree].
func Observe(pid int, memory int64) (*Observed, error) {
	if memory <= 0 {
		return &Observed{}, nil
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil, err
	}
	first, second := memoryGroups(string(data))
	if first == "" {
		return &Observed{events: host.CgroupRoot + second + "/memory.events"}, nil
	}
	dir := host.CgroupRoot + "/memory" + first
	if hasMemoryFile("kmem.tcp.limit_in_bytes") {
		limit := strconv.FormatInt(memory/memoryPerSockets, 10)
		if err := os.WriteFile(dir+"/memory.kmem.tcp.limit_in_bytes", []byte(limit), 0); err != nil {
			return nil, err
		}
	}
	return &Observed{events: dir + "/memory.oom_control"}, nil
}

// memoryGroups finds the memory groups of either version in a process's list;
// the first version's is empty where that does not have the controller.
func memoryGroups(list string) (first, second string) {
	for line := range strings.Lines(list) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			second = parts[2]
		} else if slices.Contains(strings.Split(parts[1], ","), "memory") {
			first = parts[2]
		}
	}
	return first, second
}

// OOMKills is as that of [Group].
func (o *Observed) OOMKills() (uint64, error) {
	if o.events == "" {
		return 0, nil
	}
	data, err := os.ReadFile(o.events)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return strconv.ParseUint(count, 10, 64)
		}
	}
	return 0, fmt.Errorf("no oom_kill in %s", o.events)
}
