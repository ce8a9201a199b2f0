package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// memoryPerSockets is how much of a memory limit v1 lets the buffers of TCP and
// UDP sockets have, as a divisor. It counts them apart from the limit, on top of
// it, and only where they have a limit of their own; v2 counts them in.
const memoryPerSockets = 8

// v1 drives the controllers of the first version, each a hierarchy of its own.
type v1 struct {
	mounted []cgroup1.Subsystem
}

func newV1() (*v1, error) {
	all, err := cgroup1.Default()
	if err != nil {
		return nil, err
	}
	have := host.HaveCgroups()
	d := &v1{}
	for _, s := range all {
		switch s.Name() {
		case cgroup1.Pids, cgroup1.Memory, cgroup1.Cpu:
			if have.Has(string(s.Name())) { // the library looks for a directory only
				d.mounted = append(d.mounted, s)
			}
		case cgroup1.Cpuacct:
			if have.Has(string(cgroup1.Cpu)) && isApart(cgroup1.Cpuacct, cgroup1.Cpu) {
				d.mounted = append(d.mounted, s)
			}
		}
	}
	return d, nil
}

// isApart reports whether a hierarchy is mounted that is not another's.
func isApart(name, from cgroup1.Name) bool {
	if unix.Access(filepath.Join(host.CgroupRoot, string(name), string(name)+".usage"), unix.F_OK) != nil {
		return false
	}
	one, err := os.Stat(filepath.Join(host.CgroupRoot, string(name)))
	other, errOther := os.Stat(filepath.Join(host.CgroupRoot, string(from)))
	return err == nil && errOther == nil && !os.SameFile(one, other)
}

func (d *v1) cpu(path string, shares int64) *cpu {
	if d.only(cgroup1.Cpu) == nil {
		return nil
	}
	return &cpu{
		// Also where cpu and cpuacct are one hierarchy.
		usage: filepath.Join(host.CgroupRoot, "cpuacct", path, "cpuacct.usage"), unit: time.Nanosecond,
		dir: filepath.Join(host.CgroupRoot, "cpu", path), file: "cpu.shares", weight: shares,
	}
}

func (d *v1) only(names ...cgroup1.Name) []cgroup1.Subsystem {
	var subsystems []cgroup1.Subsystem
	for _, s := range d.mounted {
		if slices.Contains(names, s.Name()) {
			subsystems = append(subsystems, s)
		}
	}
	return subsystems
}

func with(s []cgroup1.Subsystem) cgroup1.InitOpts {
	return cgroup1.WithHierarchy(func() ([]cgroup1.Subsystem, error) { return s, nil })
}

func (d *v1) all() *cpu { return d.cpu("/"+parent, parentShares) }

func (d *v1) create(path string, l runtime.Limits) (bounds, error) {
	if l.CPUShares == 0 && d.only(cgroup1.Cpu) != nil {
		l.CPUShares = normalShares
	}
	res, needed := resourcesV1(l)
	if slices.Contains(needed, cgroup1.Cpu) && d.only(cgroup1.Cpuacct) != nil {
		needed = append(needed, cgroup1.Cpuacct)
	}
	subsystems := d.only(needed...)
	for _, name := range needed {
		if d.only(name) == nil {
			return nil, &MissingError{Controller: string(name)}
		}
	}
	if len(needed) == 0 {
		return &groupV1{}, nil
	}
	c, err := cgroup1.New(cgroup1.StaticPath(path), res, with(subsystems))
	if err != nil {
		_ = d.remove(path) // what New made before it failed
		return nil, err
	}
	g := &groupV1{c: c, memory: l.Memory > 0}
	for _, name := range needed {
		f, err := os.OpenFile(host.CgroupRoot+"/"+string(name)+path+"/tasks", os.O_WRONLY, 0)
		if err != nil {
			return nil, errors.Join(err, g.Delete())
		}
		g.tasks = append(g.tasks, f)
	}
	return g, nil
}

func resourcesV1(l runtime.Limits) (*specs.LinuxResources, []cgroup1.Name) {
	var needed []cgroup1.Name
	res := &specs.LinuxResources{}
	if l.Pids > 0 {
		needed = append(needed, cgroup1.Pids)
		res.Pids = &specs.LinuxPids{Limit: &l.Pids}
	}
	if l.Memory > 0 {
		needed = append(needed, cgroup1.Memory)
		res.Memory = &specs.LinuxMemory{Limit: &l.Memory}
		if hasMemoryFile("memsw.limit_in_bytes") {
			res.Memory.Swap = &l.Memory
		}
		if hasMemoryFile("kmem.tcp.limit_in_bytes") {
			sockets := l.Memory / memoryPerSockets
			res.Memory.KernelTCP = &sockets
		}
	}
	if l.CPUQuota > 0 || l.CPUShares > 0 {
		needed = append(needed, cgroup1.Cpu)
		res.CPU = &specs.LinuxCPU{}
		if l.CPUQuota > 0 {
			period := uint64(cpuPeriod)
			res.CPU.Period, res.CPU.Quota = &period, &l.CPUQuota
		}
		if l.CPUShares > 0 {
			shares := uint64(l.CPUShares)
			res.CPU.Shares = &shares
		}
	}
	return res, needed
}

// hasMemoryFile tells whether v1 has a setting: without memsw there may still be
// swap, and without kmem.tcp buffers of sockets, that are not bounded.
func hasMemoryFile(name string) bool {
	return unix.Access(host.CgroupRoot+"/memory/memory."+name, unix.F_OK) == nil
}

func (d *v1) list(path string) ([]string, error) {
	var names []string
	for _, s := range d.mounted {
		entries, err := os.ReadDir(host.CgroupRoot + "/" + string(s.Name()) + path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(names, e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	return names, nil
}

func (d *v1) kill(path string) error {
	return retry(func() error {
		c, err := cgroup1.Load(cgroup1.StaticPath(path), with(d.mounted))
		if errors.Is(err, cgroup1.ErrCgroupDeleted) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, s := range c.Subsystems() {
			procs, err := c.Processes(s.Name(), true)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, p := range procs {
				_ = unix.Kill(p.Pid, unix.SIGKILL) // it may have ended by now
			}
		}
		return d.remove(path)
	})
}

func (d *v1) remove(path string) error {
	var errs []error
	for _, s := range d.mounted {
		err := os.Remove(host.CgroupRoot + "/" + string(s.Name()) + path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

type groupV1 struct {
	c      cgroup1.Cgroup // nil: nothing is bounded
	tasks  []*os.File
	memory bool
}

func (g *groupV1) Dir() *os.File { return nil }

func (g *groupV1) Tasks() []*os.File { return g.tasks }

func (g *groupV1) OOMKills() (uint64, error) {
	if !g.memory {
		return 0, nil
	}
	m, err := g.c.Stat(cgroup1.IgnoreNotExist)
	if err != nil {
		return 0, err
	}
	return m.GetMemoryOomControl().GetOomKill(), nil
}

func (g *groupV1) Delete() error {
	if g.c == nil {
		return nil
	}
	for _, f := range g.tasks {
		_ = f.Close()
	}
	return retry(g.c.Delete)
}
