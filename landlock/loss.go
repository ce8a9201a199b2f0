package landlock

// Loss is one protection that was asked for and is not to be had.
type Loss struct {
	// Name is stable: policies and operators refer to it.
	Name        string
	Consequence string
	Fix         string
}

// Names of losses.
const (
	LossLandlock = "landlock"
	LossRefer    = "landlock-refer"
	LossTruncate = "landlock-truncate"
	LossTCP      = "landlock-tcp"
	LossIoctl    = "landlock-ioctl"
	LossScope    = "landlock-scope"
	LossUnix     = "landlock-unix"
)

type since struct {
	abi int
	Loss
}

var known = []since{
	{1, Loss{
		LossLandlock, "only mounts say what a sandbox may change",
		"boot a kernel with CONFIG_SECURITY_LANDLOCK=y and landlock in its lsm= list",
	}},
	{2, Loss{
		LossRefer, "renames and links between directories of a sandbox fail with EXDEV",
		"use Linux 5.19 or newer",
	}},
	{3, Loss{
		LossTruncate, "only mounts and modes keep files outside writable places from being truncated",
		"use Linux 6.2 or newer",
	}},
	{abiTCP, Loss{
		LossTCP, "the asked TCP ports are not enforced: all ports of the sandbox's own network can be used",
		"use Linux 6.7 or newer",
	}},
	{5, Loss{
		LossIoctl, "ioctls on devices other than terminals are refused by the seccomp filter's list alone",
		"use Linux 6.10 or newer",
	}},
	{abiScope, Loss{
		LossScope, "only namespaces keep signals and abstract unix sockets inside a sandbox",
		"use Linux 6.12 or newer with its current fixes",
	}},
	{9, Loss{
		LossUnix, "a unix socket with a path that a sandbox sees, such as one below a toolchain directory, can be connected to",
		"use a kernel with Landlock ABI 9; keep sockets out of the directories that sandboxes see",
	}},
}

// Known returns every loss that an ABI can bring, oldest ABI first.
func Known() []Loss {
	all := make([]Loss, len(known))
	for i, k := range known {
		all[i] = k.Loss
	}
	return all
}

// losses returns what an ABI lacks. Without Landlock that is one loss, not all.
func losses(abi int, tcp bool) []Loss {
	var out []Loss
	for _, k := range known {
		if abi >= k.abi || k.Name == LossTCP && !tcp {
			continue
		}
		out = append(out, k.Loss)
		if k.Name == LossLandlock {
			break
		}
	}
	if abi == 0 && tcp {
		out = append(out, lossNamed(LossTCP))
	}
	return out
}

func lossNamed(name string) Loss {
	for _, k := range known {
		if k.Name == name {
			return k.Loss
		}
	}
	return Loss{}
}
