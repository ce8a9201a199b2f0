// Package install applies a compiled seccomp program. It is apart from the
// compiler so that a confined process links neither libseccomp nor cgo.
package install

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrProgram means that the bytes cannot be a program.
var ErrProgram = errors.New("not a seccomp program")

const (
	instructionSize = 8
	maxInstructions = 4096

	setModeFilter  = 1 // SECCOMP_SET_MODE_FILTER
	newListener    = 8 // SECCOMP_FILTER_FLAG_NEW_LISTENER
	getActionAvail = 2 // SECCOMP_GET_ACTION_AVAIL
)

// Have reports whether the kernel takes filters that allow, refuse, kill and ask.
func Have() bool {
	for _, action := range []uint32{unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ERRNO, unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW} {
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, getActionAvail, 0, uintptr(unsafe.Pointer(&action)))
		if errno != 0 {
			return false
		}
	}
	return true
}

// Thread confines the calling thread, and all that it will fork or execute, by
// a program. It cannot be undone. The goroutine must be locked to its thread,
// no_new_privs must be set, and the thread should execute the next program
// soon: other threads of this one stay as they were, and an execve ends them.
//
// The error is [ErrProgram] or holds the errno: EACCES without no_new_privs,
// EINVAL for a program that the kernel's checker refuses, ENOMEM for too many
// of them.
//
// Calls that the program asks about are ENOSYS.
func Thread(program []byte) error {
	_, err := thread(program, 0)
	return err
}

// Listening does what Thread does, and returns the descriptor where the calls
// arrive that the program asks about. The error holds EBUSY if a filter of this
// thread has a listener already.
func Listening(program []byte) (int, error) { return thread(program, newListener) }

func thread(program []byte, flags uintptr) (int, error) {
	if len(program) == 0 || len(program)%instructionSize != 0 || len(program) > maxInstructions*instructionSize {
		return -1, fmt.Errorf("cannot install seccomp filter: %w: %d bytes", ErrProgram, len(program))
	}
	// Copied for alignment.
	code := make([]unix.SockFilter, len(program)/instructionSize)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(program)), program)
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}

	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, setModeFilter, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return -1, fmt.Errorf("cannot install seccomp filter: %w", errno)
	}
	return int(fd), nil
}
