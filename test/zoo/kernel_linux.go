package main

import (
	"slices"

	"golang.org/x/sys/unix"
)

// kernelProbes ask the kernel for what only its owner should get.
func kernelProbes() []probe {
	all := slices.Concat(mountProbes(), namespaceProbes(), processProbes(), deviceProbes(), privilegeProbes(), foreignProbes())
	for _, g := range gates() {
		all = append(all, probe{"kernel/" + g.name, func(w *world) answer { return gate(w, g.nr, g.args(newArena())...) }})
	}
	return all
}

// raw is a call with arguments that the kernel would take from root, or find
// wrong only once it has begun.
type raw struct {
	name string
	nr   uintptr
	args func(a *arena) []uintptr
}

func with(args ...uintptr) func(*arena) []uintptr {
	return func(*arena) []uintptr { return args }
}

const minusOne = ^uintptr(0)

// Numbers that the library lacks.
const (
	sysNfsservctl = 180
	sysIoURing    = 425
	sysMemfdSec   = 447
	sysQuotactlFd = 443
	sysMrelease   = 448
	sysMadvise    = 440
)

func here(a *arena) uintptr { return a.text("/tmp") }

func gates() []raw { return slices.Concat(calls, archCalls, operations()) }

var calls = []raw{
	{"bpf-map", unix.SYS_BPF, func(a *arena) []uintptr { return []uintptr{0, a.words(2, 4, 8, 1, 0), 72} }},
	{"bpf-program", unix.SYS_BPF, func(a *arena) []uintptr { return []uintptr{5, a.zeros(144), 144} }},
	{"bpf-next-id", unix.SYS_BPF, func(a *arena) []uintptr { return []uintptr{11, a.zeros(72), 72} }},
	{"perf-event", unix.SYS_PERF_EVENT_OPEN, func(a *arena) []uintptr { return []uintptr{a.words(1, 128), 0, minusOne, minusOne, 8} }},
	{"perf-event-of-cpu", unix.SYS_PERF_EVENT_OPEN, func(a *arena) []uintptr { return []uintptr{a.words(1, 128), minusOne, 0, minusOne, 8} }},
	{"userfaultfd", unix.SYS_USERFAULTFD, with(unix.O_CLOEXEC)},
	{"io-uring-setup", sysIoURing, func(a *arena) []uintptr { return []uintptr{4, a.zeros(120)} }},
	{"io-uring-enter", sysIoURing + 1, with(minusOne, 1)},
	{"io-uring-register", sysIoURing + 2, with(minusOne, 0)},
	{"add-key", unix.SYS_ADD_KEY, func(a *arena) []uintptr {
		return []uintptr{a.text("user"), a.text("zoo"), a.text("x"), 1, minusOne - 2}
	}},
	{"request-key", unix.SYS_REQUEST_KEY, func(a *arena) []uintptr { return []uintptr{a.text("user"), a.text("zoo-none"), 0, 0} }},
	{"keyctl-read", unix.SYS_KEYCTL, with(unix.KEYCTL_GET_KEYRING_ID, minusOne-3, 1)},
	{"keyctl-join", unix.SYS_KEYCTL, func(a *arena) []uintptr { return []uintptr{unix.KEYCTL_JOIN_SESSION_KEYRING, a.text("zoo")} }},
	{"fanotify-init", unix.SYS_FANOTIFY_INIT, with(unix.FAN_CLASS_NOTIF, 0)},
	{"fanotify-fid", unix.SYS_FANOTIFY_INIT, with(unix.FAN_REPORT_FID, 0)},
	{"fanotify-mark", unix.SYS_FANOTIFY_MARK, with(minusOne, 1, 1, minusOne, 0)},
	{"quotactl", unix.SYS_QUOTACTL, func(a *arena) []uintptr { return []uintptr{0x800004 << 8, a.text("/dev/vda"), 0, a.zeros(64)} }},
	{"quotactl-fd", sysQuotactlFd, with(minusOne, 0x800004<<8, 0, 0)},
	{"kexec-load", unix.SYS_KEXEC_LOAD, with(0, 0, 0, 0)},
	{"kexec-file-load", unix.SYS_KEXEC_FILE_LOAD, with(minusOne, minusOne, 0, 0, 0)},
	{"init-module", unix.SYS_INIT_MODULE, func(a *arena) []uintptr { return []uintptr{a.zeros(128), 128, a.text("")} }},
	{"finit-module", unix.SYS_FINIT_MODULE, func(a *arena) []uintptr { return []uintptr{minusOne, a.text(""), 0} }},
	{"delete-module", unix.SYS_DELETE_MODULE, func(a *arena) []uintptr { return []uintptr{a.text("zoo_none"), unix.O_NONBLOCK} }},
	{"syslog-read", unix.SYS_SYSLOG, func(a *arena) []uintptr { return []uintptr{3, a.zeros(4096), 4096} }},
	{"syslog-size", unix.SYS_SYSLOG, with(10, 0, 0)},
	{"seccomp-filter", unix.SYS_SECCOMP, func(a *arena) []uintptr { return []uintptr{1, 0, a.filter()} }},
	{"native-aio", unix.SYS_IO_SETUP, func(a *arena) []uintptr { return []uintptr{1, a.zeros(8)} }},
	{"sync", unix.SYS_SYNC, with()},
	{"syncfs", unix.SYS_SYNCFS, with(minusOne)},
	{"acct", unix.SYS_ACCT, with(0)},
	{"swapon", unix.SYS_SWAPON, func(a *arena) []uintptr { return []uintptr{here(a), 0} }},
	{"swapoff", unix.SYS_SWAPOFF, func(a *arena) []uintptr { return []uintptr{here(a)} }},
	{"reboot", unix.SYS_REBOOT, with(unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_CAD_OFF, 0)},
	{"vhangup", unix.SYS_VHANGUP, with()},
	{"sethostname", unix.SYS_SETHOSTNAME, func(a *arena) []uintptr { return []uintptr{a.text("zoo"), 3} }},
	{"setdomainname", unix.SYS_SETDOMAINNAME, func(a *arena) []uintptr { return []uintptr{a.text("zoo"), 3} }},
	{"settimeofday", unix.SYS_SETTIMEOFDAY, func(a *arena) []uintptr { return []uintptr{0, a.zeros(8)} }},
	{"clock-settime", unix.SYS_CLOCK_SETTIME, func(a *arena) []uintptr { return []uintptr{unix.CLOCK_REALTIME, a.words(0, 0, 0xffffffff, 0)} }},
	{"adjtimex", unix.SYS_ADJTIMEX, func(a *arena) []uintptr { return []uintptr{a.words(0x4000, 0, 0, 0, 0, 0)} }},
	{"clock-adjtime", unix.SYS_CLOCK_ADJTIME, func(a *arena) []uintptr { return []uintptr{0, a.words(0x4000, 0, 0, 0, 0, 0)} }},
	{"personality-exec", unix.SYS_PERSONALITY, with(0x0400000)},
	{"personality-low-maps", unix.SYS_PERSONALITY, with(0x0100000)},
	{"personality-svr4", unix.SYS_PERSONALITY, with(0x0500001)},
	{"personality-high-bits", unix.SYS_PERSONALITY, with(1<<32 | 0x0400000)},
	{"mbind", unix.SYS_MBIND, with(0, 0, 0, 0, 0, 0)},
	{"set-mempolicy", unix.SYS_SET_MEMPOLICY, with(0, 0, 0)},
	{"migrate-pages", unix.SYS_MIGRATE_PAGES, func(a *arena) []uintptr { return []uintptr{1, 64, a.words(1, 0), a.words(1, 0)} }},
	{"move-pages", unix.SYS_MOVE_PAGES, with(1, 0, 0, 0, 0, 0)},
	{"remap-file-pages", unix.SYS_REMAP_FILE_PAGES, with(0, 4096, 0, 0, 0)},
	{"process-madvise", sysMadvise, with(minusOne, 0, 0, 0, 0)},
	{"process-mrelease", sysMrelease, with(minusOne, 0)},
	{"memfd-secret", sysMemfdSec, with(0)},
	{"lookup-dcookie", unix.SYS_LOOKUP_DCOOKIE, with(0, 0, 0)},
	{"nfsservctl", sysNfsservctl, with(0, 0, 0)},
	{"name-to-handle", unix.SYS_NAME_TO_HANDLE_AT, func(a *arena) []uintptr {
		return []uintptr{minusOne - 99, here(a), a.words(0, 0), a.zeros(8), 0}
	}},
	{"unknown", 700, with()},
}

// operations are what calls that a sandbox has refuse to do for it.
func operations() []raw {
	op := func(name string, args ...uintptr) raw { return raw{"prctl-" + name, unix.SYS_PRCTL, with(args...)} }
	return []raw{
		{"prctl-seccomp", unix.SYS_PRCTL, func(a *arena) []uintptr { return []uintptr{unix.PR_SET_SECCOMP, 2, a.filter()} }},
		op("securebits", unix.PR_SET_SECUREBITS, 0),
		op("mce-kill", unix.PR_MCE_KILL, unix.PR_MCE_KILL_CLEAR, 0, 0, 0),
		op("set-mm", unix.PR_SET_MM, unix.PR_SET_MM_MAP_SIZE, 0, 0, 0),
		op("io-flusher", unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0),
		op("sched-core", unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_GET, 0, 0, 0),
		op("high-bits", 1<<32|unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0),
	}
}
