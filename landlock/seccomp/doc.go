// Package seccomp compiles named groups of system calls into a seccomp
// program.
//
// [Compile] is pure in effect: it returns the bytes of a program and changes
// nothing. It needs libseccomp through cgo, so the daemon calls it; the process
// that is confined has only the bytes, and package install to apply them.
//
// # Answers
//
// A program is an allow-list. What it answers to a call:
//
//	allowed            what real work needs: compilers, interpreters, git
//	EPERM              the kernel has it, and the sandbox does not get it
//	ENOSYS             everything else: numbers that nobody knows yet, io_uring,
//	                   native AIO, clone3 and the new mount API, for which
//	                   every program has a way to do without
//	asked              the sandbox's first process makes the call, or refuses:
//	                   netlink sockets, whose number it bounds
//	process is killed  another ABI than the native one: i386, x32
//
// Some calls are judged by their arguments; [Describe] prints them all. The
// kernel looks at the low 32 bits of those arguments, so the program does too:
// junk in the high half changes nothing.
//
// # Groups
//
//	core   files, memory, processes, signals, sockets of the families unix,
//	       inet, inet6 and route netlink, timers, System V and POSIX IPC;
//	       always included
//	debug  ptrace and its kin, turning address randomization off
//
// No group lifts the floor: mounts, namespaces, modules, bpf, keyrings,
// io_uring, raw and packet sockets, AF_ALG, filters of its own, a sync of the
// whole host.
//
// The kernel asks no filter about its own trampolines on x86-64, uretprobe (335,
// since 6.11) and uprobe (336, since 6.18), and refuses them to anybody else by
// itself: a test inside a sandbox makes both calls.
//
// Pointers are never followed, so a filter cannot judge by path or socket
// address. Landlock, mounts and namespaces do that.
package seccomp
