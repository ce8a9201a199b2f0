package process

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errPrivileged means that a step that cannot fail left something behind.
var errPrivileged = errors.New("capabilities are left")

// allThreads makes a system call with two arguments on every thread.
func allThreads(trap, first, second uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, first, second, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// dropCapabilities empties all capability sets and checks that they are empty.
func dropCapabilities() error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{}
	// Called directly, since only then do header and data stay where they are.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
	if errno != 0 {
		return fmt.Errorf("cannot drop capabilities: %w", errno)
	}
	if err := unix.Capget(header, &data[0]); err != nil {
		return fmt.Errorf("cannot read capabilities: %w", err)
	}
	if *data != ([2]unix.CapUserData{}) {
		return errPrivileged
	}
	return nil
}
