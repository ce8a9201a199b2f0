package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// int80 makes a system call by the entry for 32-bit programs, with the numbers
// that those use.
func int80(nr, a, b, c uint32) uint32

// foreignProbes enter the kernel by ways that a filter for 64-bit calls does not
// think of.
func foreignProbes() []probe {
	const (
		open32, getpid32, execve32, socketcall32 = 5, 20, 11, 102
		x32                                      = 0x40000000
	)
	low := func(s string) uint32 {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
		if err != nil {
			panic(err)
		}
		copy(b, s)
		return uint32(address(b))
	}
	entered := func(w *world, r uint32) answer {
		if syscall.Errno(-int32(r)) == unix.ENOSYS {
			return gated(w, unix.ENOSYS)
		}
		return leak("it gave %d", int32(r))
	}
	return []probe{
		{"kernel/32-bit-getpid", func(w *world) answer { return entered(w, int80(getpid32, 0, 0, 0)) }},
		{"kernel/32-bit-open", func(w *world) answer { return entered(w, int80(open32, low("/dev/null"), 0, 0)) }},
		{"kernel/32-bit-execve", func(w *world) answer { return entered(w, int80(execve32, low("/tmp"), 0, 0)) }},
		{"kernel/32-bit-socketcall", func(w *world) answer {
			return entered(w, int80(socketcall32, 1, low("\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), 0))
		}},
		{"kernel/x32-getpid", func(w *world) answer { return gate(w, x32|unix.SYS_GETPID) }},
		{"kernel/x32-ioctl", func(w *world) answer { return gate(w, x32|514, 0, unix.TIOCSTI, 0) }},
		{"kernel/number-high-bits", func(w *world) answer { return gate(w, 1<<32|unix.SYS_SYSLOG, 10, 0, 0) }},
	}
}

// archCalls are those that only this architecture has.
var archCalls = []raw{
	{"iopl", unix.SYS_IOPL, with(3)},
	{"ioperm", unix.SYS_IOPERM, with(0x80, 1, 1)},
	{"modify-ldt", unix.SYS_MODIFY_LDT, func(a *arena) []uintptr { return []uintptr{0, a.zeros(64), 64} }},
	{"modify-ldt-write", unix.SYS_MODIFY_LDT, func(a *arena) []uintptr { return []uintptr{17, a.words(0, 0, 0, 0x28), 16} }},
	{"uselib", unix.SYS_USELIB, func(a *arena) []uintptr { return []uintptr{here(a)} }},
	{"ustat", unix.SYS_USTAT, with(0, 0)},
	{"sysfs", unix.SYS_SYSFS, with(3)},
}
