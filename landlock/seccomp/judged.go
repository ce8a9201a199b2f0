package seccomp

import (
	"maps"
	"slices"
)

// Namespace flags of clone(2) and unshare(2).
var namespaces = []uint32{
	0x00020000, // mount
	0x02000000, // cgroup
	0x04000000, // uts
	0x08000000, // ipc
	0x10000000, // user
	0x20000000, // pid
	0x40000000, // network
}

// newTime is CLONE_NEWTIME. For clone(2) these bits are the exit signal.
const newTime = 0x80

// Requests of ioctl(2) that no sandbox gets.
var badRequests = []uint32{
	0x5412,     // TIOCSTI: types into the terminal of whoever reads it next
	0x541c,     // TIOCLINUX: pastes into a console
	0x541d,     // TIOCCONS: takes the console's output
	0x5423,     // TIOCSETD: loads line disciplines
	0x5437,     // TIOCVHANGUP
	0x40086602, // FS_IOC_SETFLAGS: may take a file out of a project quota
	0x40046602, // FS_IOC32_SETFLAGS
	0x401c5820, // FS_IOC_FSSETXATTR: moves a file to another project
}

// filters is SECCOMP_SET_MODE_FILTER. All filters of the host's users share one
// budget, net.core.bpf_jit_limit: without room in it no sandbox can start.
const filters = 1

// Operations of prctl(2) that no sandbox gets.
var badOperations = []uint32{
	22, // PR_SET_SECCOMP: see filters
	28, // PR_SET_SECUREBITS
	33, // PR_MCE_KILL
	35, // PR_SET_MM: rewrites what /proc says of a process
	57, // PR_SET_IO_FLUSHER
	62, // PR_SCHED_CORE
}

// Socket families and protocols.
const (
	familyUnix    = 1
	familyInet    = 2
	familyInet6   = 10
	familyNetlink = 16

	typeMask   = 0xf // without SOCK_CLOEXEC and SOCK_NONBLOCK
	typeStream = 1
	typeDgram  = 2

	protocolRoute  = 0 // of netlink
	protocolICMP   = 1
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58
)

// Options of sockets that no sandbox gets, by level.
var badOptions = map[uint32][]uint32{
	1: { // SOL_SOCKET
		26, // SO_ATTACH_FILTER: a program for the kernel's compiler
		50, // SO_ATTACH_BPF
		51, // SO_ATTACH_REUSEPORT_CBPF
		52, // SO_ATTACH_REUSEPORT_EBPF
	},
	protocolTCP: {
		31, // TCP_ULP: another protocol above TCP, such as tls, of a module
		// What one socket has of these is memory that the kernel counts in no
		// limit but net.core.optmem_max, of each socket.
		14, // TCP_MD5SIG
		32, // TCP_MD5SIG_EXT
		38, // TCP_AO_ADD_KEY
	},
	41: { // SOL_IPV6; the same of IPv4 has a bound for each socket
		20, // IPV6_JOIN_GROUP
		42, // MCAST_JOIN_GROUP
		46, // MCAST_JOIN_SOURCE_GROUP
		48, // MCAST_MSFILTER
	},
}

// Types of files for mknod(2).
const (
	formatMask  = 0o170000
	formatChar  = 0o020000
	formatBlock = 0o060000
)

// harmless are the execution domains of personality(2): Linux, 32 bits in
// uname, a release that starts with 2.6, both; and the question which it is.
var harmless = []uint32{0, 0x0008, 0x20000, 0x20008, 0xffffffff}

const noRandomize = 0x40000 // ADDR_NO_RANDOMIZE

// judged are the calls whose arguments matter.
var judged = map[string]rule{
	"clone":       {anyBit(0, EPERM, namespaces...), Allow},
	"unshare":     {anyBit(0, EPERM, append(slices.Clone(namespaces), newTime)...), Allow},
	"ioctl":       {oneOf(1, EPERM, badRequests...), Allow},
	"prctl":       {oneOf(0, EPERM, badOperations...), Allow},
	"personality": {oneOf(0, Allow, harmless...), EPERM},
	"socket":      {sockets(), EPERM},
	"socketpair":  {oneOf(0, Allow, familyUnix), EPERM},
	"seccomp":     {oneOf(0, EPERM, filters), Allow},
	"setsockopt":  {options(), Allow},
	"mknod":       {devices(1), Allow},
	"mknodat":     {devices(2), Allow},
}

// debugJudged replaces some of them for the group debug.
var debugJudged = map[string]rule{
	"personality": {oneOf(0, Allow, append(slices.Clone(harmless), noRandomize)...), EPERM},
}

// sockets lets no protocol pass that only a module would bring: each of those
// is code that the sandbox could make the host load. Netlink sockets are counted.
func sockets() []gate {
	gates := []gate{
		{[]match{is(0, familyUnix)}, Allow},
		{[]match{is(0, familyNetlink), is(2, protocolRoute)}, Ask},
	}
	for _, family := range []uint32{familyInet, familyInet6} {
		for _, p := range []struct{ kind, protocol uint32 }{
			{typeStream, 0},
			{typeStream, protocolTCP},
			{typeDgram, 0},
			{typeDgram, protocolUDP},
			{typeDgram, protocolICMP},
			{typeDgram, protocolICMPv6},
		} {
			gates = append(gates, gate{[]match{is(0, family), {1, typeMask, p.kind}, is(2, p.protocol)}, Allow})
		}
	}
	return gates
}

func options() []gate {
	var gates []gate
	for _, level := range slices.Sorted(maps.Keys(badOptions)) {
		for _, name := range badOptions[level] {
			gates = append(gates, gate{[]match{is(1, level), is(2, name)}, EPERM})
		}
	}
	return gates
}

func devices(modeArg uint) []gate {
	return []gate{
		{[]match{{modeArg, formatMask, formatChar}}, EPERM},
		{[]match{{modeArg, formatMask, formatBlock}}, EPERM},
	}
}
