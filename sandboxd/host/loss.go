package host

import (
	"slices"

	"github.com/agentfense/agentfense/landlock"
)

// Loss is one protection that can be asked for and is not to be had.
type Loss = landlock.Loss

// Names of losses, beside those of package landlock.
const (
	LossSeccomp = "seccomp"
	LossMemory  = "memory-limit"
	LossCPU     = "cpu-limit"
	LossPids    = "pids-limit"
	LossDisk    = "disk-limit"
	LossDenials = "denials"
)

// own are the losses that are not Landlock's.
var own = []Loss{
	{
		Name: LossSeccomp, Consequence: "a sandbox can use every system call that its user can",
		Fix: "boot a kernel with CONFIG_SECCOMP_FILTER=y",
	},
	{
		Name: LossPids, Consequence: "a sandbox can use up the host's processes",
		Fix: "enable the pids cgroup controller: on cgroup v2 it must be in /sys/fs/cgroup/cgroup.controllers",
	},
	{
		Name: LossMemory, Consequence: "the memory limit of a sandbox is not enforced",
		Fix: "enable the memory cgroup controller: boot with cgroup_enable=memory, and without cgroup_disable=memory",
	},
	{
		Name: LossCPU, Consequence: "the CPU quota and shares of a sandbox are not enforced",
		Fix: "enable the cpu cgroup controller: on cgroup v2 it must be in /sys/fs/cgroup/cgroup.controllers",
	},
	{
		Name: LossDisk, Consequence: "what a sandbox writes below /workspace is bounded by the state file system alone",
		Fix: "install mkfs.ext4 (package e2fsprogs), and load the modules loop and ext4",
	},
	{
		Name: LossDenials, Consequence: "the result of a command does not list what the policy refused",
		Fix: "boot a kernel of version 5.17 or newer with CONFIG_DEBUG_INFO_BTF=y, whose lockdown and container let root load tracing programs",
	},
}

// Known returns every loss that there can be, in a stable order.
func Known() []Loss { return slices.Concat(landlock.Known(), own) }

// KnownName reports whether some loss is called name.
func KnownName(name string) bool {
	return slices.ContainsFunc(Known(), func(l Loss) bool { return l.Name == name })
}

// LossNamed returns the loss of that name, which must be one of this package.
func LossNamed(name string) Loss {
	i := slices.IndexFunc(own, func(l Loss) bool { return l.Name == name })
	return own[i]
}

// Losses returns what this machine cannot enforce. Those of Landlock are of
// what every sandbox asks for.
func Losses() ([]Loss, error) {
	abi, err := landlock.HaveABI()
	if err != nil {
		return nil, err
	}
	_, lost := landlock.Compile(landlock.Request{}, abi)
	cgroups := HaveCgroups()
	for _, p := range []struct {
		loss string
		have bool
	}{
		{LossSeccomp, HaveSeccomp()},
		{LossPids, cgroups.Has("pids")},
		{LossMemory, cgroups.Has("memory")},
		{LossCPU, cgroups.Has("cpu")},
		{LossDisk, HaveDisk() == nil},
	} {
		if !p.have {
			lost = append(lost, LossNamed(p.loss))
		}
	}
	return lost, nil
}
