package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// procProbes go by way of /proc, of other processes and of the kernel's knobs.
func procProbes() []probe {
	return []probe{
		{"proc/init-root", func(w *world) answer { return stealHost("/proc/1/root" + w.hostFile) }},
		{"proc/init-cwd", func(*world) answer { return each(others(), readDirOf("cwd")) }},
		{"proc/init-fd", func(*world) answer { return each(others(), openFds) }},
		{"proc/init-fdinfo", func(*world) answer { return each(others(), readDirOf("fdinfo")) }},
		{"proc/init-map-files", func(*world) answer { return each(others(), openMaps) }},
		{"proc/init-mem", func(*world) answer { return each(others(), openFile("mem", unix.O_RDWR)) }},
		{"proc/init-maps", func(*world) answer { return each(others(), readFile("maps")) }},
		{"proc/init-environ", func(*world) answer { return each(others(), readFile("environ")) }},
		{"proc/init-exe", func(*world) answer { return each(others(), openFile("exe", unix.O_RDONLY)) }},
		{"proc/init-write-exe", func(*world) answer { return each(others(), openFile("exe", unix.O_WRONLY)) }},
		{"proc/init-auxv", func(*world) answer { return each(others(), readFile("auxv")) }},
		{"proc/init-stack", func(*world) answer { return each(others(), readFile("stack")) }},
		{"proc/init-syscall", func(*world) answer { return each(others(), readFile("syscall")) }},
		{"proc/init-namespaces", func(*world) answer { return each(namespaceFiles, openNamespace) }},
		{"proc/own-map-files", func(*world) answer { return openMaps("/proc/self") }},
		{"proc/strangers", strangers},
		{"proc/oom-score", func(*world) answer { return writeTo("/proc/self/oom_score_adj", "-1000") }},
		{"proc/uid-map", uidMap},
		{"proc/kernel-settings", func(*world) answer { return each(settings, openSetting) }},
		{"proc/core-pattern", func(*world) answer { return writeTo("/proc/sys/kernel/core_pattern", "|/bin/false") }},
		{"proc/modprobe-path", masked(func(*world) answer { return writeTo("/proc/sys/kernel/modprobe", "/bin/false") })},
		{"proc/sysrq", masked(sysrq)},
		{"proc/kcore", masked(readAny("/proc/kcore"))},
		{"proc/kallsyms", masked(kallsyms)},
		{"proc/kmsg", masked(kernelLog)},
		{"proc/keys", masked(readAny("/proc/keys"))},
		{"proc/timer-list", masked(readAny("/proc/timer_list"))},
		{"proc/pressure", masked(readAny("/proc/pressure/memory"))},
		{"proc/page-counts", masked(readAny("/proc/kpagecount"))},
		{"proc/irq-affinity", masked(openAny("/proc/irq/default_smp_affinity", unix.O_WRONLY))},
		{"proc/pci-devices", masked(openAny("/proc/bus/pci/devices", unix.O_WRONLY))},
		{"proc/umount-masks", func(w *world) answer {
			return each([]string{"/proc/kcore", "/proc/sys", "/proc/keys"}, func(p string) answer {
				return gated(w, unix.Unmount(p, unix.MNT_DETACH))
			})
		}},
		{"proc/sysfs", openAny("/sys/kernel/uevent_helper", unix.O_WRONLY)},
		{"proc/cgroup-files", cgroupFiles},
		{"proc/own-attributes", ownAttributes},
	}
}

// masked makes one answer of the ways in which a host may lack a file of the
// kernel's, or a sandbox have nothing of it.
func masked(run func(*world) answer) func(*world) answer {
	return func(w *world) answer {
		a := run(w)
		if a.verdict == Blocked && slices.Contains([]string{"ENOENT", "EACCES", "EPERM", "EROFS", "ENODEV", "empty", "zeros", "own"}, a.errno) {
			return blocked("masked")
		}
		return a
	}
}

// others are the directories in /proc of processes that are the sandbox's
// keepers: its first, and that which started this probe's parent.
func others() []string {
	dirs := []string{"/proc/1"}
	if keeper := parentOf(syscall.Getppid()); keeper > 1 {
		dirs = append(dirs, "/proc/"+itoa(keeper))
	}
	return dirs
}

// parentOf returns the parent of a process, past what shells and zoo are.
func parentOf(pid int) int {
	for pid > 1 {
		status, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
		if err != nil {
			return 0
		}
		name, rest, _ := strings.Cut(string(status), ") ")
		if !strings.Contains(name, "(zoo") && !strings.Contains(name, "sh") && !strings.Contains(name, "exe") {
			return pid
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			return 0
		}
		pid = atoi(f[1])
	}
	return pid
}

func atoi(s string) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func readFile(name string) func(string) answer {
	return func(dir string) answer { return readAny(dir + "/" + name)(nil) }
}

func openFile(name string, flags int) func(string) answer {
	return func(dir string) answer { return openAny(dir+"/"+name, flags)(nil) }
}

func readAny(path string) func(*world) answer {
	return func(w *world) answer {
		f, err := os.Open(path)
		if err == nil {
			defer f.Close()
			b := make([]byte, 64)
			var n int
			if n, err = f.Read(b); err == nil || n > 0 {
				return leak("read %s", path)
			}
			return blocked("empty")
		}
		return absent(w, path, err)
	}
}

func openAny(path string, flags int) func(*world) answer {
	return func(w *world) answer {
		err := closing(unix.Open(path, flags|unix.O_CLOEXEC, 0))
		if errors.Is(err, unix.ETXTBSY) {
			return leak("%s is only busy", path)
		}
		return absent(w, path, err)
	}
}

// absent judges, but for what the kernel of an unconfined machine lacks.
func absent(w *world, path string, err error) answer {
	if w != nil && w.unconfined() && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOSYS)) {
		return none("the machine has no %s", path)
	}
	return judge(err, "opened %s", path)
}

func readDirOf(name string) func(string) answer {
	return func(dir string) answer {
		_, err := os.ReadDir(dir + "/" + name)
		return judge(err, "listed %s/%s", dir, name)
	}
}

func openFds(dir string) answer {
	entries, err := os.ReadDir(dir + "/fd")
	if err == nil {
		for _, e := range entries {
			if err := closing(unix.Open(dir+"/fd/"+e.Name(), unix.O_PATH|unix.O_CLOEXEC, 0)); err == nil {
				return leak("opened descriptor %s", e.Name())
			}
		}
		return leak("listed %s/fd", dir)
	}
	// Without a list, by guessing.
	return each([]string{"0", "1", "2", "3", "4", "5", "6", "7"}, func(n string) answer {
		return judge(closing(unix.Open(dir+"/fd/"+n, unix.O_RDWR|unix.O_CLOEXEC, 0)), "opened descriptor %s", n)
	})
}

func openMaps(dir string) answer {
	entries, err := filepath.Glob(dir + "/map_files/*")
	if err != nil || len(entries) == 0 {
		_, err := os.ReadDir(dir + "/map_files")
		return judge(err, "listed %s/map_files", dir)
	}
	return each(entries, func(p string) answer {
		return judge(closing(unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)), "opened %s", p)
	})
}

var namespaceFiles = []string{"mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time"}

func openNamespace(name string) answer {
	return judge(closing(unix.Open("/proc/1/ns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)), "opened PID 1's %s namespace", name)
}

// strangers looks for a process that is not of the sandbox's user, or a kernel
// thread.
func strangers(w *world) answer {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return broken("%v", err)
	}
	for _, dir := range dirs {
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil {
			continue
		}
		stat, err := os.ReadFile(dir + "/stat")
		if err == nil && strings.Contains(string(stat), "(kthreadd)") {
			return leak("kernel threads at %s", dir)
		}
		b, err := os.ReadFile(dir + "/status")
		if err == nil && !w.unconfined() && !bytes.Contains(b, []byte("\nUid:\t"+itoa(os.Getuid())+"\t")) {
			return leak("%s is somebody else's", dir)
		}
	}
	return blocked("own")
}

func writeTo(path, text string) answer {
	old, _ := os.ReadFile(path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return judge(err, "")
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR {
		return blocked("own") // the null device
	}
	_, err = f.WriteString(text)
	if err == nil {
		_, _ = f.WriteAt(old, 0)
	}
	return judge(err, "wrote to %s", path)
}

// uidMap gives the process an identity that it should not have.
func uidMap(*world) answer {
	return each([]string{"uid_map", "gid_map"}, func(name string) answer {
		f, err := os.OpenFile("/proc/self/"+name, os.O_WRONLY, 0)
		if err != nil {
			return judge(err, "")
		}
		defer f.Close()
		if os.Getuid() == 0 {
			return leak("opened %s", name) // root's own map can be set by nobody
		}
		_, err = f.WriteString("0 0 1")
		return judge(err, "wrote %s", name)
	})
}

var settings = []string{
	"/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/vm/drop_caches", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic",
	"/proc/sys/kernel/yama/ptrace_scope", "/proc/sys/kernel/randomize_va_space", "/proc/sys/fs/protected_symlinks", "/proc/sys/fs/suid_dumpable",
	"/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax", "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/threads-max", "/proc/sys/user/max_user_namespaces",
}

func openSetting(path string) answer {
	err := closing(unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0))
	if errors.Is(err, unix.ENOENT) {
		return blocked("EROFS") // a kernel without it
	}
	return judge(err, "opened %s for writing", path)
}

// sysrq asks the kernel only for its help, which it prints.
func sysrq(*world) answer { return writeTo("/proc/sysrq-trigger", "h") }

// kernelLog does not wait for messages: without any the kernel says EAGAIN.
func kernelLog(*world) answer {
	fd, err := unix.Open("/proc/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return judge(err, "")
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, make([]byte, 64))
	if n == 0 && err == nil {
		return blocked("empty")
	}
	return leak("%d bytes, %v", n, err)
}

func kallsyms(*world) answer {
	b, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return judge(err, "")
	}
	if len(b) == 0 {
		return blocked("empty")
	}
	for line := range strings.Lines(string(b)) {
		if addr, _, _ := strings.Cut(line, " "); strings.Trim(addr, "0") != "" {
			return leak("addresses of the kernel: %.40q", line)
		}
	}
	return blocked("zeros")
}

func cgroupFiles(*world) answer {
	return each([]string{
		"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/tasks", "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control",
	}, func(p string) answer { return openAny(p, unix.O_WRONLY)(nil) })
}

// ownAttributes tries what would change what the kernel makes of this process.
func ownAttributes(*world) answer {
	lockThread() // of a thread that is not its own the kernel says something else
	return each([]string{"/proc/thread-self/attr/current", "/proc/thread-self/attr/exec", "/proc/thread-self/loginuid", "/proc/self/timens_offsets", "/proc/thread-self/make-it-fail"}, func(p string) answer {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			return judge(err, "")
		}
		defer f.Close()
		_, err = f.WriteString("0")
		return judge(err, "wrote %s", p)
	})
}
