package process

import (
	"testing"

	"golang.org/x/sys/unix"
)

// judge runs a filter on one system call.
func judge(t *testing.T, p []unix.SockFilter, arch, call, first uint32) uint32 {
	t.Helper()
	data := map[uint32]uint32{offArch: arch, offNumber: call, offFirst: first}
	accumulator := uint32(0)
	for at := 0; at < len(p); at++ {
		holds := false
		switch i := p[at]; i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			accumulator = data[i.K]
			continue
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			holds = accumulator == i.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			holds = accumulator&i.K != 0
		default:
			t.Fatalf("instruction %d is %+v", at, i)
		}
		if holds {
			at += int(p[at].Jt)
		} else {
			at += int(p[at].Jf)
		}
	}
	t.Fatal("filter does not return")
	return 0
}

func TestFilter(t *testing.T) {
	const arch = unix.AUDIT_ARCH_X86_64
	refuse := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	for name, tt := range map[string]struct{ arch, call, first, want uint32 }{
		"read":           {arch, unix.SYS_READ, 0, unix.SECCOMP_RET_ALLOW},
		"exit_group":     {arch, unix.SYS_EXIT_GROUP, 0, unix.SECCOMP_RET_ALLOW},
		"thread":         {arch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_THREAD, unix.SECCOMP_RET_ALLOW},
		"fork":           {arch, unix.SYS_CLONE, uint32(unix.SIGCHLD), refuse},
		"execve":         {arch, unix.SYS_EXECVE, 0, refuse},
		"openat":         {arch, unix.SYS_OPENAT, 0, refuse},
		"socket":         {arch, unix.SYS_SOCKET, 0, refuse},
		"ptrace":         {arch, unix.SYS_PTRACE, 0, refuse},
		"io_uring_setup": {arch, unix.SYS_IO_URING_SETUP, 0, refuse},
		"x32 read":       {arch, unix.SYS_READ | 0x40000000, 0, refuse},
		"foreign ABI":    {unix.AUDIT_ARCH_I386, unix.SYS_READ, 0, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(t, program(arch, allowed), tt.arch, tt.call, tt.first); got != tt.want {
				t.Errorf("filter answers %#x to call %d, want %#x", got, tt.call, tt.want)
			}
		})
	}
}
