package seccomp

const (
	nativeArch = 0xc000003e // AUDIT_ARCH_X86_64
	// foreignBit marks calls of the x32 ABI.
	foreignBit = 0x40000000
)

// archCalls are old calls that newer ones replace, and the architecture's own.
const archCalls = `
	open creat stat lstat access readlink mkdir rmdir unlink link symlink
	rename renameat chmod chown lchown utime utimes futimesat getdents
	dup2 pipe poll select epoll_create epoll_wait inotify_init eventfd signalfd
	fork vfork pause alarm time getpgrp arch_prctl
`

// archRefused is the same for what no sandbox gets.
const archRefused = `
	iopl ioperm modify_ldt set_thread_area get_thread_area uselib ustat sysfs
`
