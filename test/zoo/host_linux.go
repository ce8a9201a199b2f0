package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func errnoOf(n int32) error { return syscall.Errno(n) }

// hostProbes reach what is outside: the host, and by it other sandboxes.
func hostProbes() []probe { return append(outsiderProbes(), outsideProbes()...) }

// outsiderProbes reach a process outside.
func outsiderProbes() []probe {
	return []probe{
		{"host/signal", func(w *world) answer { return judge(unix.Kill(w.victim, 0), "signalled %d", w.victim) }},
		{"host/signal-pidfd", func(w *world) answer {
			fd, err := unix.PidfdOpen(w.victim, 0)
			if err != nil {
				return judge(err, "")
			}
			return judge(unix.PidfdSendSignal(fd, 0, nil, 0), "signalled %d", w.victim)
		}},
		{"host/signal-queue", func(w *world) answer {
			return judge(rawCall(unix.SYS_RT_SIGQUEUEINFO, uintptr(w.victim), uintptr(unix.SIGURG), newArena().words(uint32(unix.SIGURG), 0, 0xffffffff)), "queued")
		}},
		{"host/signal-owner", signalOwner},
		{"host/signal-group", func(w *world) answer { return judge(unix.Kill(-w.victim, 0), "signalled group %d", w.victim) }},
		{"host/priority-of-process", func(w *world) answer {
			return judge(unix.Setpriority(unix.PRIO_PROCESS, w.victim, 19), "changed the priority of %d", w.victim)
		}},
		{"host/limits-of-process", func(w *world) answer {
			var limit unix.Rlimit
			return judge(unix.Prlimit(w.victim, unix.RLIMIT_NOFILE, nil, &limit), "read the limits of %d", w.victim)
		}},
		{"host/affinity-of-process", func(w *world) answer {
			var set unix.CPUSet
			return judge(unix.SchedGetaffinity(w.victim, &set), "read the CPUs of %d", w.victim)
		}},
		{"host/session-of-process", func(w *world) answer {
			_, err := unix.Getsid(w.victim)
			return judge(err, "read the session of %d", w.victim)
		}},
		{"host/trace-process", func(w *world) answer {
			lockThread()
			return judge(rawCall(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(w.victim), 0, 0), "traced %d", w.victim)
		}},
		{"host/proc-of-process", func(w *world) answer {
			_, err := os.ReadFile("/proc/" + itoa(w.victim) + "/status")
			return judge(err, "read the status of %d", w.victim)
		}},
	}
}

// outsideProbes reach what else is there.
func outsideProbes() []probe {
	return []probe{
		{"host/abstract-socket", func(w *world) answer { return judge(connectUnix("@"+w.abstract), "connected") }},
		{"host/unix-socket", func(w *world) answer { return judge(connectUnix(w.socket), "connected") }},
		{"host/unix-socket-by-root", func(w *world) answer { return judge(connectUnix("/proc/1/root"+w.socket), "connected") }},
		{"host/socket-of-toolchain", toolSocket},
		{"host/known-sockets", knownSockets},
		{"host/tcp", func(w *world) answer { return judge(connectTCP(w.tcp), "connected") }},
		{"host/udp", udp},
		{"host/interfaces", interfaces},
		{"host/system-v-memory", func(w *world) answer {
			return judge(rawCall(unix.SYS_SHMGET, uintptr(w.shm), 0, 0), "found segment %d", w.shm)
		}},
		{"host/system-v-list", systemVList},
		{"host/message-queue", func(w *world) answer {
			return judge(rawCall(unix.SYS_MQ_OPEN, newArena().text("zoo-"+w.abstract), unix.O_RDONLY, 0, 0), "opened it")
		}},
		{"host/shared-memory-file", func(w *world) answer { return stealHost("/dev/shm/zoo" + w.abstract) }},
		{"host/temporary-file", func(w *world) answer { return stealHost("/tmp/zoo" + w.abstract) }},
		{"host/write-toolchain", func(w *world) answer {
			return judge(os.WriteFile(filepath.Join(w.tools, "zoo-new"), nil, 0o600), "wrote to %s", w.tools)
		}},
		{"host/change-toolchain", func(w *world) answer {
			return judge(unix.Chmod(filepath.Join(w.tools, "zoo-setuid"), 0o4755), "changed %s", w.tools)
		}},
		{"host/names-in-mounts", namesInMounts},
		{"host/names-in-process", namesInProcess},
		{"host/name", func(w *world) answer {
			name, err := os.Hostname()
			if err == nil && name != w.hostName {
				return blocked("own")
			}
			return judge(err, "the host's name is %s", name)
		}},
		{"host/namespaces", initialNamespaces},
		{"host/home-of-root", readDirectory("/root")},
		{"host/state-directory", readDirectory("/var/lib/agentfense")},
		{"host/run-directory", readDirectory("/run/agentfense")},
		{"host/boot-directory", readDirectory("/boot")},
		{"host/sys", readDirectory("/sys/kernel")},
		{"host/debugfs", readDirectory("/sys/kernel/debug")},
		{"host/tracefs", readDirectory("/sys/kernel/tracing")},
		{"host/cgroupfs", readDirectory("/sys/fs/cgroup")},
		{"host/shadow", readAny("/etc/shadow")},
		{"host/machine-id", readAny("/etc/machine-id")},
	}
}

// signalOwner makes the kernel send a signal for a file: to the victim, when
// data arrives.
func signalOwner(w *world) answer {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return judge(err, "")
	}
	_, err = unix.FcntlInt(uintptr(fds[0]), unix.F_SETOWN, w.victim)
	return judge(err, "set %d as owner", w.victim)
}

// toolSocket is a socket that lies where every sandbox can see it. Only newer
// Landlock keeps it shut.
func toolSocket(w *world) answer {
	err := connectUnix(filepath.Join(w.tools, "zoo.sock"))
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	abi, abiErr := call(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if err == nil && !w.unconfined() && (abiErr != nil || abi < 9) {
		return none("the loss landlock-unix: no kernel before ABI 9 refuses it")
	}
	return judge(err, "connected")
}

func knownSockets(w *world) answer {
	return each([]string{
		w.socket, "/run/agentfense/api.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/journal/socket",
		"/dev/log", "/run/containerd/containerd.sock", "/run/nscd/socket", "/proc/1/root/run/agentfense/api.sock",
	}, func(p string) answer { return judge(connectUnix(p), "connected to %s", p) })
}

// udp tells whether anybody is there: a closed port is refused by the network
// that it is in.
func udp(w *world) answer {
	c, err := net.Dial("udp", w.tcp)
	if err != nil {
		return judge(err, "")
	}
	defer c.Close()
	if _, err := c.Write([]byte("zoo")); err != nil {
		return judge(err, "")
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return broken("%v", err)
	}
	_, err = c.Read(make([]byte, 16))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return blocked("silence")
	}
	return judge(err, "an answer came")
}

// interfaces looks for a network beside the sandbox's own loopback.
func interfaces(w *world) answer {
	list, err := net.Interfaces()
	if err != nil {
		return judge(err, "")
	}
	for _, i := range list {
		if i.Flags&net.FlagLoopback == 0 && (i.Flags&net.FlagUp != 0 || w.unconfined()) {
			return leak("interface %s", i.Name)
		}
	}
	if w.unconfined() {
		return none("the machine has no network")
	}
	return blocked("own")
}

func systemVList(*world) answer {
	b, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		return judge(err, "")
	}
	if n := bytes.Count(b, []byte("\n")); n > 1 {
		return leak("%d segments", n-1)
	}
	return blocked("empty")
}

// initialNamespaces compares with those that the machine was born with, whose
// numbers are always the same. A user namespace of its own no sandbox has or
// needs, and time is the host's.
func initialNamespaces(*world) answer {
	for name, first := range map[string]string{"ipc": "4026531839", "uts": "4026531838", "pid": "4026531836", "cgroup": "4026531835"} {
		target, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			return judge(err, "")
		}
		if strings.Contains(target, first) {
			return leak("the host's own %s", target)
		}
	}
	return blocked("own")
}

func readDirectory(dir string) func(*world) answer {
	return func(w *world) answer {
		if w.unconfined() {
			if err := os.MkdirAll(dir, 0o700); err != nil && !strings.HasPrefix(dir, "/sys") {
				return broken("%v", err)
			}
		}
		_, err := os.ReadDir(dir)
		return absent(w, dir, err)
	}
}
