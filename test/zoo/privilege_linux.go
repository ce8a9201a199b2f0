package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// privilegeProbes try to become somebody else, or to count for more.
func privilegeProbes() []probe {
	try := func(attack func() error) func(w *world) answer {
		return func(w *world) answer { lockThread(); return judge(attack(), "it worked") }
	}
	return []probe{
		{"kernel/setuid", try(func() error { return rawCall(unix.SYS_SETRESUID, 0, 0, 0) })},
		{"kernel/setgid", try(func() error { return rawCall(unix.SYS_SETRESGID, 0, 0, 0) })},
		{"kernel/setgroups", try(func() error { return rawCall(unix.SYS_SETGROUPS, 1, newArena().words(0)) })},
		{"kernel/capset", try(func() error {
			a := newArena()
			return rawCall(unix.SYS_CAPSET, a.words(unix.LINUX_CAPABILITY_VERSION_3, 0), a.words(1<<21, 1<<21, 0, 0, 0, 0))
		})},
		{"kernel/ambient-capability", try(func() error {
			a := newArena()
			_ = rawCall(unix.SYS_CAPSET, a.words(unix.LINUX_CAPABILITY_VERSION_3, 0), a.words(1<<21, 1<<21, 1<<21, 0, 0, 0))
			return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0)
		})},
		{"kernel/new-privileges", try(func() error {
			if unix.Prctl(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == nil && noNewPrivileges() {
				return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)
			}
			return nil
		})},
		{"kernel/seccomp-off", try(seccompOff)},
		{"kernel/nice", try(func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -20) })},
		{"kernel/real-time", try(func() error { return rawCall(unix.SYS_SCHED_SETSCHEDULER, 0, 1, newArena().words(1)) })},
		{"kernel/deadline", try(func() error {
			a := newArena()
			return rawCall(unix.SYS_SCHED_SETATTR, 0, a.words(48, 6, 0, 0, 0, 0, 100000, 0, 1000000, 0, 1000000, 0), 0)
		})},
		{"kernel/hard-limit", try(raiseLimit)},
		{"kernel/setuid-binary", func(w *world) answer { return gain(w, "zoo-setuid") }},
		{"kernel/setgid-binary", func(w *world) answer { return gain(w, "zoo-setgid") }},
		{"kernel/file-capabilities", func(w *world) answer { return gain(w, "zoo-capable") }},
		{"kernel/own-setuid-binary", ownSetuid},
		{"kernel/set-capabilities", setCapabilities},
		{"kernel/chown-to-root", func(*world) answer {
			return withScratch(func(dir string) answer { return judge(os.Chown(dir, 0, 0), "gave %s to root", dir) })
		}},
		{"kernel/setuid-programs-of-host", setuidOfHost},
	}
}

func noNewPrivileges() bool {
	b, err := os.ReadFile("/proc/thread-self/status")
	return err == nil && bytes.Contains(b, []byte("NoNewPrivs:\t1"))
}

// seccompOff asks for a process without a filter.
func seccompOff() error {
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil || !bytes.Contains(b, []byte("Seccomp:\t2")) {
		return err
	}
	if err := rawCall(unix.SYS_SECCOMP, 0, 0, 0); err != nil { // strict mode, from filter mode
		return err
	}
	return nil
}

func raiseLimit() error {
	for _, which := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_MEMLOCK, unix.RLIMIT_RTPRIO, unix.RLIMIT_NICE, unix.RLIMIT_CORE} {
		var was unix.Rlimit
		if err := unix.Getrlimit(which, &was); err != nil {
			return err
		}
		if was.Max == unix.RLIM_INFINITY {
			if err := unix.Setrlimit(which, &unix.Rlimit{Cur: 0, Max: 0}); err != nil {
				return err
			}
			was.Max = 0
		}
		if err := unix.Setrlimit(which, &unix.Rlimit{Cur: 0, Max: was.Max + 1}); err != nil {
			return err
		}
	}
	return nil
}

// gain runs a copy of zoo that the host has given rights to.
func gain(w *world, name string) answer {
	c := exec.Command(filepath.Join(w.tools, name), "-helper", "privileges")
	if w.unconfined() {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4000, Gid: 4000}}
	}
	return gained(c)
}

func gained(c *exec.Cmd) answer {
	out, err := c.CombinedOutput()
	if err != nil {
		return judge(err, "")
	}
	f := strings.Fields(string(out))
	if len(f) != 12 || f[0] != "Uid:" {
		return broken("helper said %q", out)
	}
	if f[1] != f[2] || f[6] != f[7] || f[2] == "0" || f[7] == "0" || strings.Trim(f[11], "0") != "" {
		return leak("%s", out)
	}
	return blocked("own")
}

// ownSetuid makes a program of the sandbox's own that is setuid, and runs it as
// somebody who is not its owner, if it can become that.
func ownSetuid(w *world) answer {
	return withScratch(func(dir string) answer {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return broken("%v", err)
		}
		path := dir + "/suid"
		if err := os.WriteFile(path, self, 0o755); err != nil {
			return judge(err, "")
		}
		if err := os.Chown(path, 0, -1); err != nil {
			return judge(err, "")
		}
		if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
			return judge(err, "")
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return judge(err, "")
		}
		c := exec.Command(path, "-helper", "privileges")
		if w.unconfined() {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4000, Gid: 4000}}
		}
		return gained(c)
	})
}

func setCapabilities(*world) answer {
	value := append([]byte{1, 0, 0, 2, 0, 0, 0x20, 0}, make([]byte, 12)...)
	return withScratch(func(dir string) answer {
		path := dir + "/program"
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			return judge(err, "")
		}
		return judge(unix.Setxattr(path, "security.capability", value, 0), "gave %s capabilities", path)
	})
}

// setuidOfHost looks at what the mounts make of the host's own setuid programs.
func setuidOfHost(*world) answer {
	return each([]string{"/usr/bin", "/tmp", "/dev/shm", "/workspace", "/home", "/"}, func(dir string) answer {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return blocked("ENOENT")
			}
			return broken("%v", err)
		}
		if st.Flags&unix.ST_NOSUID == 0 {
			return leak("%s takes setuid programs: %s", dir, fmt.Sprintf("%#x", st.Flags))
		}
		return blocked("nosuid")
	})
}
