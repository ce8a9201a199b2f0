package ingest

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asCaller runs fn on a thread that has the file system rights of the caller
// and nothing more, and waits for it. The thread ends with fn; it never goes
// back to work for others.
//
// Only the file system ids change: a thread whose real or effective uid were
// the caller's could be signalled and traced by the caller.
func asCaller(c Caller, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is thrown away
		if err := become(c); err != nil {
			done <- fmt.Errorf("cannot act as uid %d: %w", c.UID, err)
			return
		}
		done <- fn()
	}()
	return <-done
}

// become gives the calling thread the caller's rights on files.
func become(c Caller) error {
	if os.Geteuid() != 0 {
		if c.UID != uint32(os.Geteuid()) {
			return unix.EPERM
		}
		return nil
	}
	var groups unsafe.Pointer
	if len(c.Groups) > 0 {
		groups = unsafe.Pointer(&c.Groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(c.Groups)), uintptr(groups), 0); errno != 0 {
		return fmt.Errorf("cannot set groups: %w", errno)
	}
	if err := setFSID(unix.SYS_SETFSGID, c.GID); err != nil {
		return fmt.Errorf("cannot set gid: %w", err)
	}
	if err := setFSID(unix.SYS_SETFSUID, c.UID); err != nil {
		return fmt.Errorf("cannot set uid: %w", err)
	}
	if c.UID == 0 {
		return nil
	}
	// setfsuid takes away the capabilities on files. The others have to go as
	// well: with CAP_SYS_PTRACE much of /proc opens.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("cannot drop capabilities: %w", err)
	}
	return nil
}

// setFSID calls setfsuid or setfsgid, which report no error but the id before.
func setFSID(call uintptr, id uint32) error {
	if id == ^uint32(0) {
		return unix.EINVAL
	}
	_, _, _ = unix.RawSyscall(call, uintptr(id), 0, 0)
	if now, _, _ := unix.RawSyscall(call, uintptr(^uint32(0)), 0, 0); uint32(now) != id {
		return unix.EPERM
	}
	return nil
}
