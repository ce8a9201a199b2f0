package daemon

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/host"
)

// isolated says, with our process id, that Isolate has done its work.
const isolated = "SANDBOXD_ISOLATED"

// Isolate puts the process into a mount namespace of its own, so that its
// mounts are invisible to the host and vanish with it, and executes the program
// again, so that all its threads are there. In the program executed it returns.
//
// It must be called on the main thread, which keeps process id, name and
// parent-death signal.
func Isolate() error {
	mark := strconv.Itoa(os.Getpid())
	if os.Getenv(isolated) == mark {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make a mount namespace: %w", err)
	}
	// Mounts of the host still arrive here; ours do not leave.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find our own program: %w", err)
	}
	return fmt.Errorf("cannot execute ourselves again: %w", unix.Exec(self, os.Args, append(os.Environ(), isolated+"="+mark)))
}

// capabilities are those that the daemon cannot do without.
var capabilities = map[string]uint{
	"CAP_CHOWN":        unix.CAP_CHOWN,
	"CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE,
	"CAP_FOWNER":       unix.CAP_FOWNER,
	"CAP_KILL":         unix.CAP_KILL,
	"CAP_MKNOD":        unix.CAP_MKNOD,
	"CAP_NET_ADMIN":    unix.CAP_NET_ADMIN,
	"CAP_SETGID":       unix.CAP_SETGID,
	"CAP_SETPCAP":      unix.CAP_SETPCAP,
	"CAP_SETUID":       unix.CAP_SETUID,
	"CAP_SYS_ADMIN":    unix.CAP_SYS_ADMIN,
}

// RightsError names what the process lacks.
type RightsError struct{ Missing []string }

func (e *RightsError) Error() string {
	return "sandboxd lacks what it needs: " + strings.Join(e.Missing, "; ")
}

// CheckRights returns a [*RightsError] unless the process can do what a daemon
// must: it names everything that is missing, not only the first.
func CheckRights() error {
	var missing []string
	if uid := os.Geteuid(); uid != 0 {
		missing = append(missing, fmt.Sprintf("root (it runs as uid %d)", uid))
	}
	effective, err := effectiveCaps()
	if err != nil {
		return err
	}
	missing = append(missing, lacking(effective)...)
	if err := host.HaveFUSE(); err != nil {
		missing = append(missing, fmt.Sprintf("/dev/fuse (%v): load the fuse module, or pass the device into the container", err))
	}
	switch groups := host.HaveCgroups(); {
	case groups.Version == 0:
		missing = append(missing, "cgroups: nothing is mounted on "+host.CgroupRoot)
	case groups.ReadOnly:
		missing = append(missing, "cgroups: "+host.CgroupRoot+" is mounted read-only")
	}
	if len(missing) > 0 {
		return &RightsError{missing}
	}
	return nil
}

// lacking names the needed capabilities that a set has not, sorted.
func lacking(effective uint64) []string {
	var names []string
	for name, bit := range capabilities {
		if effective&(1<<bit) == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func effectiveCaps() (uint64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("cannot read capabilities: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, fmt.Errorf("cannot read capabilities: no CapEff in /proc/self/status")
}

// RaiseFiles raises the limit on open files as far as it goes, and returns it.
func RaiseFiles() uint64 {
	const plenty = 1 << 20
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	higher := unix.Rlimit{Cur: max(limit.Max, plenty), Max: max(limit.Max, plenty)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &higher) == nil {
		return higher.Cur
	}
	limit.Cur = limit.Max
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}
