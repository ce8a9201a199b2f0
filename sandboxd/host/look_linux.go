package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/landlock"
)

// The kernels that matter, as major<<8 | minor.
const (
	// needed has mount_setattr, openat2 and execveat as the worker uses them.
	kernelNeeded = 5<<8 | 12
	// tested is the oldest that the tests boot.
	kernelTested = 6<<8 | 1
)

func checkKernel() Check {
	const name = "kernel"
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Check{name, Missing, err.Error(), "everything", "use Linux"}
	}
	release := unix.ByteSliceToString(u.Release[:])
	switch v := kernelVersion(release); {
	case v < kernelNeeded:
		return Check{name, Missing, release, "mounts of sandboxes cannot be made", "use Linux 6.1 or newer"}
	case v < kernelTested:
		return Check{name, Degraded, release, "this kernel is older than any that is tested", "use Linux 6.1 or newer"}
	}
	return ok(name, release)
}

// kernelVersion returns the first two numbers of a release; 0 for nonsense.
func kernelVersion(release string) int {
	major, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	a, err := strconv.Atoi(major)
	b, berr := strconv.Atoi(rest[:end])
	if err != nil || berr != nil {
		return 0
	}
	return a<<8 | min(b, 0xff)
}

func checkLandlock() Check {
	const name = "landlock"
	abi, err := landlock.HaveABI()
	if err != nil {
		return Check{name, Missing, err.Error(), "only mounts say what a sandbox may change", "look at the kernel's log"}
	}
	found := "not enabled"
	if abi > 0 {
		found = fmt.Sprintf("ABI %d, errata %#x", abi, landlock.Errata())
	}
	_, lost := landlock.Compile(landlock.Request{}, abi)
	if len(lost) == 0 {
		return ok(name, found)
	}
	var names, fixes []string
	for _, l := range lost {
		names = append(names, l.Name+": "+l.Consequence)
		if !slices.Contains(fixes, l.Fix) {
			fixes = append(fixes, l.Fix)
		}
	}
	c := Check{name, Degraded, found, strings.Join(names, "; "), strings.Join(fixes, "; ")}
	if abi == 0 {
		c.State = Missing
	}
	return c
}

func checkSeccomp() Check {
	if !HaveSeccomp() {
		return lossy("seccomp", Missing, "no filters", LossNamed(LossSeccomp))
	}
	return ok("seccomp", "filters")
}

func checkFUSE() Check {
	err := HaveFUSE()
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		err = nil // it is the daemon that opens it
	}
	if err != nil {
		return Check{
			"fuse", Missing, err.Error(), "no sandbox can be shown its codebase",
			"run: modprobe fuse; in a container, pass the device /dev/fuse in",
		}
	}
	return ok("fuse", "/dev/fuse")
}

func checkOverlay() Check {
	if err := HaveFilesystem("overlay"); err != nil {
		return Check{
			"overlayfs", Missing, err.Error(), "no sandbox can write to its codebase",
			"run: modprobe overlay; or boot a kernel with CONFIG_OVERLAY_FS",
		}
	}
	return ok("overlayfs", "there")
}

func checkNamespaces() Check {
	if missing := lacksNamespaces(); len(missing) > 0 {
		return Check{
			"namespaces", Missing, "no " + strings.Join(missing, ", "), "sandboxes cannot be kept apart",
			"boot a kernel with CONFIG_NAMESPACES and all that belongs to it",
		}
	}
	return ok("namespaces", strings.Join(namespaces, " "))
}

// checkCgroups is one check for the hierarchy and one for each limit.
func checkCgroups() []Check {
	c := HaveCgroups()
	found := fmt.Sprintf("version %d: %s", c.Version, strings.Join(c.Controllers, " "))
	first := ok("cgroups", found)
	switch {
	case c.Version == 0:
		first = Check{
			"cgroups", Missing, "none at " + CgroupRoot, "sandboxes cannot be bounded",
			"mount cgroup2 at " + CgroupRoot + "; in a container, give it a cgroup namespace with that mount",
		}
	case c.ReadOnly:
		first = Check{
			"cgroups", Missing, CgroupRoot + " is read-only", "sandboxes cannot be bounded",
			"mount it read-write; with docker, run the container with --cgroupns=host and a writable " + CgroupRoot,
		}
	}
	checks := []Check{first}
	for _, l := range []struct {
		controller, loss string
		without          State
	}{{"pids", LossPids, Missing}, {"memory", LossMemory, Degraded}, {"cpu", LossCPU, Degraded}} {
		check := ok(l.loss, "controller "+l.controller)
		if !c.Has(l.controller) {
			check = lossy(l.loss, l.without, "no controller "+l.controller, LossNamed(l.loss))
		}
		checks = append(checks, check)
	}
	return checks
}

func checkDisk() Check {
	if err := HaveDisk(); err != nil {
		return lossy(LossDisk, Degraded, err.Error(), LossNamed(LossDisk))
	}
	return ok(LossDisk, "ext4 on loop devices")
}

func checkBTF() Check {
	const btf = "/sys/kernel/btf/vmlinux"
	if _, err := os.Stat(btf); err != nil {
		return Check{
			"bpf", Degraded, "no " + btf, "file accesses of sandboxes cannot be audited by the kernel",
			"boot a kernel with CONFIG_DEBUG_INFO_BTF=y, and mount /sys",
		}
	}
	return ok("bpf", btf)
}

// checkUIDs looks for users in the daemon's range.
func checkUIDs(base uint32) Check {
	found := fmt.Sprintf("%d to %d", base, uint64(base)+UIDCount-1)
	for _, file := range []struct {
		path  string
		field int // of the uid; in subordinate ranges a count follows
		count bool
	}{{"/etc/passwd", 2, false}, {"/etc/subuid", 1, true}, {"/etc/subgid", 1, true}} {
		data, _ := os.ReadFile(file.path) // none, then
		if user := usersIn(string(data), file.field, file.count, uint64(base)); user != "" {
			return Check{
				"uids", Missing, found + ", used by " + user + " in " + file.path,
				"what runs in a sandbox has the rights of that user", "give sandboxd a range that is free, with --uid-base",
			}
		}
	}
	return ok("uids", found)
}

// usersIn returns the first name in a file like /etc/passwd whose ids lie in
// the range from base.
func usersIn(data string, field int, counted bool, base uint64) string {
	for line := range strings.Lines(data) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) <= field || strings.HasPrefix(line, "#") {
			continue
		}
		first, err := strconv.ParseUint(fields[field], 10, 64)
		if err != nil {
			continue
		}
		n := uint64(1)
		if counted && len(fields) > field+1 {
			n, _ = strconv.ParseUint(fields[field+1], 10, 64)
		}
		if first < base+UIDCount && first+n > base {
			return fields[0]
		}
	}
	return ""
}

// badStates are file systems that cannot hold the upper directory of an
// overlay, or not for long.
var badStates = map[int64]struct {
	name  string
	state State
	lost  string
}{
	unix.NFS_SUPER_MAGIC:       {"nfs", Missing, "no sandbox can write to its codebase"},
	unix.SMB2_SUPER_MAGIC:      {"cifs", Missing, "no sandbox can write to its codebase"},
	unix.MSDOS_SUPER_MAGIC:     {"vfat", Missing, "no sandbox can write to its codebase"},
	unix.FUSE_SUPER_MAGIC:      {"fuse", Missing, "no sandbox can write to its codebase"},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", Missing, "no sandbox can write to its codebase"},
	unix.TMPFS_MAGIC:           {"tmpfs", Degraded, "codebases do not outlast a reboot, and take memory"},
}

// lowSpace is when a state file system is nearly full.
const lowSpace = 1 << 30

func checkStateDir(dir string) Check {
	const name = "state"
	at := filepath.Clean(dir)
	var st unix.Statfs_t
	err := unix.Statfs(at, &st)
	for err != nil && at != "/" && at != "." { // it is made when the daemon starts
		at = filepath.Dir(at)
		err = unix.Statfs(at, &st)
	}
	if err != nil {
		return Check{name, Missing, err.Error(), "there is no place for codebases", "give sandboxd a --state-dir"}
	}
	const move = "give sandboxd a --state-dir on ext4, xfs or btrfs"
	if bad, is := badStates[st.Type]; is {
		return Check{name, bad.state, dir + " is on " + bad.name, bad.lost, move}
	}
	free := st.Bavail * uint64(st.Bsize)
	found := fmt.Sprintf("%s, %d MiB free", dir, free>>20)
	if free < lowSpace {
		return Check{name, Degraded, found, "codebases and changes may not fit", "make room, or " + move}
	}
	return ok(name, found)
}

func checkPrograms(paths map[string]string) Check {
	var missing, where []string
	for name, path := range paths {
		if path == "" {
			missing = append(missing, name)
			continue
		}
		where = append(where, path)
	}
	slices.Sort(missing)
	slices.Sort(where)
	if len(missing) > 0 {
		return Check{
			"programs", Missing, "cannot find " + strings.Join(missing, ", "), "the daemon cannot start sandboxes",
			"run: make build; then put the programs beside agentfense, or in PATH",
		}
	}
	return ok("programs", strings.Join(where, " "))
}
