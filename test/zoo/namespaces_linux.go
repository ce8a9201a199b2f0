package main

import (
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func lockThread() { runtime.LockOSThread() } // for good: the process ends with its probe

var namespaces = []struct {
	name string
	flag uintptr
}{
	{"mount", unix.CLONE_NEWNS},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"uts", unix.CLONE_NEWUTS},
	{"ipc", unix.CLONE_NEWIPC},
	{"user", unix.CLONE_NEWUSER},
	{"pid", unix.CLONE_NEWPID},
	{"net", unix.CLONE_NEWNET},
	{"time", unix.CLONE_NEWTIME},
}

// namespaceProbes make or join namespaces, in which more would be allowed.
func namespaceProbes() []probe {
	all := []probe{
		{"kernel/clone3", func(w *world) answer { return gate(w, unix.SYS_CLONE3, newArena().zeros(8), 8) }},
		{"kernel/unshare-high-bits", func(w *world) answer { return gate(w, unix.SYS_UNSHARE, 1<<32|unix.CLONE_NEWUTS) }},
		{"kernel/unshare-user-and-mount", func(w *world) answer {
			return gated(w, spawn(&syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}))
		}},
		{"kernel/setns-pidfd", func(w *world) answer {
			lockThread()
			fd, err := unix.PidfdOpen(1, 0)
			if err != nil {
				return judge(err, "")
			}
			return gated(w, unix.Setns(fd, unix.CLONE_NEWUTS|unix.CLONE_NEWIPC))
		}},
	}
	for _, n := range namespaces {
		all = append(all, probe{"kernel/unshare-" + n.name, func(w *world) answer {
			return gated(w, spawn(&syscall.SysProcAttr{Unshareflags: n.flag}))
		}})
		if n.flag != unix.CLONE_NEWTIME { // for clone(2) the bit is part of the exit signal
			all = append(all, probe{"kernel/clone-" + n.name, func(w *world) answer {
				return gated(w, spawn(&syscall.SysProcAttr{Cloneflags: n.flag}))
			}})
		}
		file := map[string]string{"mount": "mnt"}[n.name]
		if file == "" {
			file = n.name
		}
		all = append(all, probe{"kernel/setns-" + n.name, func(w *world) answer {
			lockThread()
			fd, err := unix.Open("/proc/self/ns/"+file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return judge(err, "")
			}
			return gated(w, unix.Setns(fd, 0))
		}})
	}
	return all
}

// spawn starts a copy of zoo that does nothing.
func spawn(attr *syscall.SysProcAttr) error {
	c := exec.Command("/proc/self/exe", "-helper", "nothing")
	c.SysProcAttr = attr
	return c.Run()
}
