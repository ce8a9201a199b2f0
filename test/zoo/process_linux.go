package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// processProbes reach into processes: the sandbox's keepers, and where no
// sandbox may trace at all, the probe's own child.
func processProbes() []probe {
	onKeepers := func(attack func(pid int) error) func(*world) answer {
		return func(w *world) answer {
			return each(keepers(), func(pid int) answer { return gated(w, attack(pid)) })
		}
	}
	onChild := func(attack func(pid int) error) func(*world) answer {
		return func(w *world) answer {
			if w.debug() {
				return none("the group debug allows it inside the sandbox")
			}
			c := exec.Command("/proc/self/exe", "-helper", "sleep")
			if err := c.Start(); err != nil {
				return broken("%v", err)
			}
			defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
			return gated(w, attack(c.Process.Pid))
		}
	}
	return []probe{
		{"kernel/ptrace-attach", onKeepers(traced(unix.PTRACE_ATTACH))},
		{"kernel/ptrace-seize", onKeepers(traced(unix.PTRACE_SEIZE))},
		{"kernel/ptrace-child", onChild(traced(unix.PTRACE_ATTACH))},
		{"kernel/process-vm-readv", onKeepers(copied(unix.SYS_PROCESS_VM_READV))},
		{"kernel/process-vm-writev", onKeepers(copied(unix.SYS_PROCESS_VM_WRITEV))},
		{"kernel/process-vm-readv-child", onChild(copied(unix.SYS_PROCESS_VM_READV))},
		{"kernel/kcmp", onKeepers(compared)},
		{"kernel/kcmp-child", onChild(compared)},
		{"kernel/pidfd-getfd", onKeepers(func(pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return closing(unix.PidfdGetfd(fd, 0, 0))
		})},
		{"kernel/robust-list", onKeepers(func(pid int) error {
			a := newArena()
			return rawCall(unix.SYS_GET_ROBUST_LIST, uintptr(pid), a.zeros(8), a.zeros(8))
		})},
		{"kernel/io-priority", onKeepers(func(pid int) error { return rawCall(unix.SYS_IOPRIO_SET, 1, uintptr(pid), 1<<13) })},
		{"kernel/core-dump", coreDump},
	}
}

// traced makes an attack of a request of ptrace(2).
func traced(request int) func(pid int) error {
	return func(pid int) error {
		lockThread()
		err := rawCall(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, 0)
		if err == nil && request == unix.PTRACE_ATTACH { // or it would stay stopped
			_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
			_ = rawCall(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, 0)
			_ = unix.Kill(pid, unix.SIGCONT)
		}
		return err
	}
}

// copied makes an attack of a call that copies memory.
func copied(nr uintptr) func(pid int) error {
	return func(pid int) error {
		a := newArena()
		buffer := a.zeros(8)
		local, remote := a.words(uint32(buffer), uint32(buffer>>32), 8, 0), a.words(0x400000, 0, 8, 0)
		if nr == unix.SYS_PROCESS_VM_WRITEV {
			remote = a.words(8, 0, 8, 0) // nothing is there
		}
		return rawCall(nr, uintptr(pid), local, 1, remote, 1, 0)
	}
}

func compared(pid int) error {
	return rawCall(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), 1, 0, 0)
}

// keepers are the processes above this one that are not of its kind.
func keepers() []int {
	pids := []int{1}
	if keeper := parentOf(syscall.Getppid()); keeper > 1 {
		pids = append(pids, keeper)
	}
	return pids
}

// coreDump asks for a dump of a crashing process, which the host's own handler
// may get to see.
func coreDump(*world) answer {
	dir, err := os.MkdirTemp("/tmp", "zoo-")
	if err != nil {
		return broken("%v", err)
	}
	c := exec.Command("/proc/self/exe", "-helper", "crash")
	c.Dir = dir
	err = c.Run()
	status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return broken("it did not crash: %v", err)
	}
	if left, _ := os.ReadDir(dir); status.CoreDump() || len(left) > 0 {
		return leak("core was dumped")
	}
	return blocked("own")
}
