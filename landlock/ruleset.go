package landlock

import "path"

// Workspace is where a sandbox sees its codebase.
const Workspace = "/workspace"

// NewestABI is the newest ABI that this package knows what to do with.
const NewestABI = 11

// First ABIs that have what Compile asks for.
const (
	abiTCP   = 4
	abiScope = 6
)

// Request says what to confine to. Paths are those of a policy.Plan.
type Request struct {
	// Writable are directories in which everything may change.
	Writable []string
	// Files are single files whose content may change.
	Files []string
	// TCP restricts ports; nil leaves them to the network namespace.
	TCP *TCP
}

// TCP lists the only ports that may be used.
type TCP struct {
	Bind, Connect []uint16
}

// Ruleset is what Apply hands to the kernel.
type Ruleset struct {
	// ABI is the one that it was compiled for.
	ABI int
	// FS, Net and Scope are all that is restricted: what no rule allows is
	// refused.
	FS    Access
	Net   Net
	Scope Scope
	Rules []Rule
	Ports []PortRule
}

// Rule allows Access to a file, or to a directory and everything below it.
type Rule struct {
	Path   string
	Access Access
	// Dir says which of them it is.
	Dir bool
	// Planned marks places that an earlier run of the sandbox may have put
	// something else in: a link, or a file for a directory. No right comes
	// from those, so they are passed over.
	Planned bool
}

// PortRule allows Access to a TCP port.
type PortRule struct {
	Port   uint16
	Access Net
}

// always are the rules of every sandbox.
var always = []Rule{
	{Path: "/", Access: look, Dir: true},
	{Path: "/tmp", Access: change, Dir: true},
	{Path: "/dev/shm", Access: change, Dir: true},
	{Path: "/home/agent", Access: change, Dir: true},
	{Path: "/dev", Access: rewrite, Dir: true},
	{Path: "/dev/tty", Access: IoctlDev},
	{Path: "/dev/pts", Access: IoctlDev, Dir: true},
	{Path: "/proc", Access: rewrite, Dir: true},
}

// Compile returns the strongest ruleset that an ABI can hold, and what it
// cannot. ABI 0, which is no Landlock at all, gives a Ruleset that Apply
// refuses.
func Compile(req Request, abi int) (Ruleset, []Loss) {
	abi = max(0, min(abi, NewestABI))
	losses := losses(abi, req.TCP != nil)
	if abi == 0 {
		return Ruleset{}, losses
	}
	set := Ruleset{ABI: abi, FS: handled(abi)}
	if abi >= abiScope {
		set.Scope = AbstractUnixSocket | Signal
	}
	rules := append([]Rule{}, always...)
	for _, p := range req.Writable {
		rules = append(rules, Rule{Path: path.Join(Workspace, p), Access: change, Dir: true, Planned: true})
	}
	for _, p := range req.Files {
		rules = append(rules, Rule{Path: path.Join(Workspace, p), Access: rewrite, Planned: true})
	}
	for _, r := range rules {
		if r.Access &= set.FS; r.Access != 0 {
			set.Rules = append(set.Rules, r)
		}
	}
	if req.TCP != nil && abi >= abiTCP {
		set.Net = BindTCP | ConnectTCP
		for _, port := range req.TCP.Bind {
			set.Ports = append(set.Ports, PortRule{port, BindTCP})
		}
		for _, port := range req.TCP.Connect {
			set.Ports = append(set.Ports, PortRule{port, ConnectTCP})
		}
	}
	return set, losses
}
