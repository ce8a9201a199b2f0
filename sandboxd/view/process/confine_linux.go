package process

import (
	"errors"
	"fmt"
	"syscall"

	golandlock "github.com/landlock-lsm/go-landlock/landlock"
	llsyscall "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/view/handover"
)

// maxFiles bounds open descriptors: far more than a view needs.
const maxFiles = 512

// ErrRoot means that a view was told to run as root.
var ErrRoot = errors.New("a view does not run as root")

// confine gives up all that serving does not need, for all threads and for
// ever. It returns the Landlock ABI that holds, 0 if the kernel has none.
func confine(cfg handover.Config) (int, error) {
	if cfg.UID == 0 || cfg.GID == 0 {
		return 0, ErrRoot
	}
	unix.Umask(0)
	if err := changeRoot(handover.ObjectsFD); err != nil {
		return 0, err
	}
	abi, err := restrictPaths("/")
	if err != nil {
		return 0, err
	}
	if err := limit(); err != nil {
		return 0, err
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return 0, fmt.Errorf("cannot set no_new_privs: %w", err)
	}
	if err := dropBounding(); err != nil {
		return 0, err
	}
	if err := become(int(cfg.UID), int(cfg.GID)); err != nil {
		return 0, err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("cannot become undumpable: %w", err)
	}
	return abi, filter()
}

// changeRoot makes a detached mount the root of the process's mount namespace
// and removes all other mounts from it, the view's own among them.
func changeRoot(mount int) error {
	// Any directory will do, since it goes with the old root.
	if err := unix.MoveMount(mount, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot attach the objects: %w", err)
	}
	if err := unix.Fchdir(mount); err != nil {
		return fmt.Errorf("cannot enter the objects: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot leave the old root: %w", err)
	}
	return unix.Chdir("/")
}

// restrictPaths lets the process open files below one directory for reading
// and do nothing else that Landlock knows of.
func restrictPaths(objects string) (int, error) {
	abi, err := llsyscall.LandlockGetABIVersion()
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return 0, nil // reported as ABI 0
	}
	if err != nil {
		return 0, fmt.Errorf("cannot probe Landlock: %w", err)
	}
	known := []golandlock.Config{
		golandlock.V1, golandlock.V2, golandlock.V3, golandlock.V4,
		golandlock.V5, golandlock.V6, golandlock.V7, golandlock.V8,
	}
	abi = min(abi, len(known))
	if err := known[abi-1].Restrict(golandlock.PathAccess(llsyscall.AccessFSReadFile, objects)); err != nil {
		return 0, fmt.Errorf("cannot apply Landlock: %w", err)
	}
	return abi, nil
}

// limit allows no core dump, by file or by pipe, no writing to files, and few
// descriptors.
func limit() error {
	for resource, value := range map[int]uint64{
		unix.RLIMIT_CORE: 1, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_NOFILE: maxFiles,
	} {
		var have unix.Rlimit
		if err := unix.Getrlimit(resource, &have); err != nil {
			return fmt.Errorf("cannot read limit %d: %w", resource, err)
		}
		value = min(value, have.Max)
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("cannot set limit %d: %w", resource, err)
		}
	}
	return nil
}

// dropBounding empties the capability bounding set.
func dropBounding() error {
	for capability := uintptr(0); ; capability++ {
		have, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // the kernel knows no more
		}
		if err != nil {
			return fmt.Errorf("cannot read the bounding set: %w", err)
		}
		if have == 0 {
			continue
		}
		if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, capability); err != nil {
			return fmt.Errorf("cannot drop capability %d: %w", capability, err)
		}
	}
}

// become changes to an unprivileged user, which loses the permitted, effective
// and ambient capabilities, then drops the inheritable ones.
func become(uid, gid int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("cannot drop groups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("cannot become group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("cannot become user %d: %w", uid, err)
	}
	return dropCapabilities()
}
