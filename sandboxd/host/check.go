package host

// State is how a check came out.
type State string

// The states.
const (
	Ok       State = "ok"
	Degraded State = "degraded"
	Missing  State = "missing"
)

// Check is one thing that was looked at.
type Check struct {
	Name  string
	State State
	// Found is what there is.
	Found string
	// Lost and Fix say what follows and what to do; empty in state Ok.
	Lost, Fix string
}

// Query says what to look at.
type Query struct {
	// StateDir is the daemon's state directory, which need not exist.
	StateDir string
	// UIDBase begins the uids that the daemon may use.
	UIDBase uint32
	// Programs are paths of the daemon's programs; "" means not found. By name.
	Programs map[string]string
}

// Defaults of the daemon.
const (
	DefaultStateDir = "/var/lib/agentfense"
	// DefaultUIDBase begins a range that no distribution uses.
	DefaultUIDBase = 0x70000000
	// UIDCount is how many uids from the base the daemon may use.
	UIDCount = 1 << 20
)

// Look checks everything, in an order for people to read.
func Look(q Query) []Check {
	checks := []Check{
		checkKernel(),
		checkLandlock(),
		checkSeccomp(),
		checkFUSE(),
		checkOverlay(),
		checkNamespaces(),
	}
	checks = append(checks, checkCgroups()...)
	return append(checks,
		checkDisk(),
		checkBTF(),
		checkUIDs(q.UIDBase),
		checkStateDir(q.StateDir),
		checkPrograms(q.Programs),
	)
}

// Runs reports whether a sandbox can run where the checks came out like this.
func Runs(checks []Check) bool {
	for _, c := range checks {
		if c.State == Missing {
			return false
		}
	}
	return true
}

func ok(name, found string) Check { return Check{Name: name, State: Ok, Found: found} }

// lossy is a check that found a loss.
func lossy(name string, s State, found string, l Loss) Check {
	return Check{Name: name, State: s, Found: found, Lost: l.Consequence, Fix: l.Fix}
}
