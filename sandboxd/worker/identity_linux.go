package worker

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// becomeUser gives every privilege of the calling thread away, for good. The
// thread must be locked and must execute the next stage: that ends all others.
//
// Raw calls are used because the library's would change every thread, which
// fails in a program that has started some before this.
func becomeUser(uid uint32) error {
	if _, err := unix.KeyctlJoinSessionKeyring("agent"); err != nil && err != unix.ENOSYS {
		return failed(StageIdentity, "session keyring", err)
	}
	if err := claimLogin(uid); err != nil {
		return failed(StageIdentity, "login uid", err)
	}
	for c := 0; ; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if err == unix.EINVAL && c > unix.CAP_WAKE_ALARM {
			break
		}
		if err != nil {
			return failed(StageIdentity, "capability bounding set", err)
		}
	}
	id := uintptr(uid)
	for _, call := range []struct {
		name string
		trap uintptr
		args [3]uintptr
	}{
		{"setgroups", unix.SYS_SETGROUPS, [3]uintptr{0, 0, 0}},
		{"setresgid", unix.SYS_SETRESGID, [3]uintptr{id, id, id}},
		{"setresuid", unix.SYS_SETRESUID, [3]uintptr{id, id, id}},
	} {
		if _, _, errno := unix.RawSyscall(call.trap, call.args[0], call.args[1], call.args[2]); errno != 0 {
			return failed(StageIdentity, call.name, errno)
		}
	}
	if err := dropCapabilities(); err != nil {
		return failed(StageIdentity, "capabilities", err)
	}
	return failed(StageIdentity, "no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// claimLogin makes the kernel's audit log know the sandbox by its own uid. A
// process without a login uid may choose any, and what it did would be logged
// as somebody else's.
func claimLogin(uid uint32) error {
	fd, err := unix.Open("/proc/thread-self/loginuid", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil // a kernel without audit
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, strconv.AppendUint(nil, uint64(uid), 10))
	if err == unix.EPERM {
		return nil // it has one that nobody may change
	}
	return err
}

func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// forbidTracing keeps processes of the same user from reading this one's
// memory and descriptors.
func forbidTracing() error {
	return failed(StageServe, "dumpable", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}
