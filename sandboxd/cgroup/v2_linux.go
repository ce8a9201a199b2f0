package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/cgroups/v3/cgroup2"

	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// v2 drives the unified hierarchy.
type v2 struct {
	controllers []string
}

func newV2() *v2 {
	return &v2{controllers: host.HaveCgroups().Controllers}
}

func (d *v2) require(names ...string) error {
	for _, name := range names {
		if !slices.Contains(d.controllers, name) {
			return &MissingError{Controller: name}
		}
	}
	return nil
}

func (d *v2) create(path string, l runtime.Limits) (bounds, error) {
	if l.CPUShares == 0 && slices.Contains(d.controllers, "cpu") {
		l.CPUShares = normalShares
	}
	res := resourcesV2(l)
	if err := d.require(res.EnabledControllers()...); err != nil {
		return nil, err
	}
	m, err := cgroup2.NewManager(host.CgroupRoot, path, res)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(host.CgroupRoot + path)
	if err != nil {
		return nil, errors.Join(err, m.Delete())
	}
	return &groupV2{m: m, dir: dir, memory: l.Memory > 0}, nil
}

func resourcesV2(l runtime.Limits) *cgroup2.Resources {
	res := &cgroup2.Resources{}
	if l.Pids > 0 {
		res.Pids = &cgroup2.Pids{Max: l.Pids}
	}
	if l.Memory > 0 {
		var noSwap int64
		res.Memory = &cgroup2.Memory{Max: &l.Memory, Swap: &noSwap}
	}
	if l.CPUQuota > 0 || l.CPUShares > 0 {
		res.CPU = &cgroup2.CPU{}
		if l.CPUQuota > 0 {
			period := uint64(cpuPeriod)
			res.CPU.Max = cgroup2.NewCPUMax(&l.CPUQuota, &period)
		}
		if l.CPUShares > 0 {
			weight := weightOf(l.CPUShares)
			res.CPU.Weight = &weight
		}
	}
	return res
}

// weightOf maps v1's shares, 2 to 262144, to v2's weight, 1 to 10000, as
// container runtimes do.
func weightOf(shares int64) uint64 {
	shares = min(max(shares, 2), 262144)
	return uint64(1 + (shares-2)*9999/262142)
}

func (d *v2) cpu(path string, shares int64) *cpu {
	if !slices.Contains(d.controllers, "cpu") {
		return nil
	}
	dir := filepath.Join(host.CgroupRoot, path)
	return &cpu{
		usage: filepath.Join(dir, "cpu.stat"), prefix: "usage_usec ", unit: time.Microsecond,
		dir: dir, file: "cpu.weight", weight: int64(weightOf(shares)),
	}
}

func (d *v2) all() *cpu {
	c := d.cpu("/"+parent, normalShares)
	if c != nil {
		c.weight = parentWeight
	}
	return c
}

func (d *v2) list(path string) ([]string, error) {
	entries, err := os.ReadDir(host.CgroupRoot + path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d *v2) kill(path string) error {
	return retry(func() error {
		m, err := cgroup2.Load(path)
		if err != nil {
			return err
		}
		if err := m.Kill(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.remove(path)
	})
}

func (d *v2) remove(path string) error {
	err := os.Remove(host.CgroupRoot + path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

type groupV2 struct {
	m      *cgroup2.Manager
	dir    *os.File
	memory bool
}

func (g *groupV2) Dir() *os.File { return g.dir }

func (g *groupV2) Tasks() []*os.File { return nil }

func (g *groupV2) OOMKills() (uint64, error) {
	if !g.memory {
		return 0, nil
	}
	s, err := g.m.StatFiltered(cgroup2.StatMemoryEvents)
	if err != nil {
		return 0, err
	}
	return s.GetMemoryEvents().GetOomKill(), nil
}

func (g *groupV2) Delete() error {
	_ = g.dir.Close()
	return retry(g.m.Delete)
}
