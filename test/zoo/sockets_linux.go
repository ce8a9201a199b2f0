package main

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// families of sockets that bring code into reach which no sandbox needs.
var families = map[string]int{
	"alg": unix.AF_ALG, "packet": unix.AF_PACKET, "vsock": unix.AF_VSOCK, "key": unix.AF_KEY, "bluetooth": unix.AF_BLUETOOTH, "can": unix.AF_CAN,
	"rds": unix.AF_RDS, "tipc": unix.AF_TIPC, "x25": unix.AF_X25, "ax25": unix.AF_AX25, "llc": unix.AF_LLC, "xdp": unix.AF_XDP, "smc": unix.AF_SMC,
	"qipcrtr": unix.AF_QIPCRTR, "nfc": unix.AF_NFC, "kcm": unix.AF_KCM, "infiniband": unix.AF_IB, "pppox": unix.AF_PPPOX, "atm": unix.AF_ATMPVC,
	"appletalk": unix.AF_APPLETALK, "ipx": unix.AF_IPX, "mctp": 45, "phonet": unix.AF_PHONET, "ieee802154": unix.AF_IEEE802154, "caif": unix.AF_CAIF,
	"rxrpc": unix.AF_RXRPC, "isdn": unix.AF_ISDN, "netrom": unix.AF_NETROM, "rose": unix.AF_ROSE, "econet": unix.AF_ECONET, "unknown": 63,
}

// netlinks are protocols of netlink beside that of routes.
var netlinks = map[string]int{
	"usersock": unix.NETLINK_USERSOCK, "sock-diag": unix.NETLINK_SOCK_DIAG, "xfrm": unix.NETLINK_XFRM, "audit": unix.NETLINK_AUDIT, "uevent": unix.NETLINK_KOBJECT_UEVENT,
	"generic": unix.NETLINK_GENERIC, "netfilter": unix.NETLINK_NETFILTER, "connector": unix.NETLINK_CONNECTOR, "crypto": unix.NETLINK_CRYPTO, "selinux": unix.NETLINK_SELINUX,
	"iscsi": unix.NETLINK_ISCSI, "fib-lookup": unix.NETLINK_FIB_LOOKUP, "rdma": unix.NETLINK_RDMA, "scsi": unix.NETLINK_SCSITRANSPORT,
}

// socketProbes make sockets that are more than a sandbox's own network.
func socketProbes() []probe {
	var all []probe
	add := func(name string, family, kind, protocol int) {
		all = append(all, probe{"socket/" + name, func(w *world) answer {
			return gatedSocket(w, closing(unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)))
		}})
	}
	for name, family := range families {
		all = append(all, probe{"socket/family-" + name, func(w *world) answer { return anyKind(w, family) }})
	}
	for name, protocol := range netlinks {
		add("netlink-"+name, unix.AF_NETLINK, unix.SOCK_RAW, protocol)
	}
	add("raw-icmp", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	add("raw-tcp", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
	add("raw", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	add("raw-6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW)
	add("packet-old", unix.AF_INET, unix.SOCK_PACKET, 0x300)
	add("mptcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	add("mptcp-6", unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	add("sctp", unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP)
	add("dccp", unix.AF_INET, unix.SOCK_DCCP, unix.IPPROTO_DCCP)
	add("udplite", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
	add("l2tp", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_L2TP)
	add("smc-over-inet", unix.AF_INET, unix.SOCK_STREAM, 256)
	return append(all,
		probe{"socket/alg-hash", hashByKernel},
		probe{"socket/pair-tipc", func(w *world) answer {
			return gatedSocket(w, pair(unix.AF_TIPC))
		}},
		probe{"socket/family-high-bits", func(w *world) answer {
			_, err := call(unix.SYS_SOCKET, 1<<32|unix.AF_ALG, unix.SOCK_SEQPACKET, 0)
			return gatedSocket(w, err)
		}},
		probe{"socket/mark", option(unix.SO_MARK, 1)},
		probe{"socket/priority", option(unix.SO_PRIORITY, 7)},
		probe{"socket/force-buffer", option(unix.SO_RCVBUFFORCE, 1<<26)},
		probe{"socket/debug", option(unix.SO_DEBUG, 1)},
		probe{"socket/filter", filter(unix.SO_ATTACH_FILTER)},
		probe{"socket/filter-of-group", filter(unix.SO_ATTACH_REUSEPORT_CBPF)},
		probe{"socket/filter-high-bits", filter(1<<32 | unix.SO_ATTACH_FILTER)},
		probe{"socket/bpf-filter", bpfFilter(unix.SO_ATTACH_BPF)},
		probe{"socket/bpf-filter-of-group", bpfFilter(unix.SO_ATTACH_REUSEPORT_EBPF)},
		probe{"socket/protocol-above-tcp", protocolAbove},
		probe{"socket/netlink-many", manyNetlinks},
		probe{"socket/tcp-keys", uncounted(unix.AF_INET, unix.IPPROTO_TCP, unix.TCP_MD5SIG, 32, 38)},
		probe{"socket/multicast-6", uncounted(unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, 42, 46, 48)},
		probe{"socket/credentials", forgeCredentials},
		probe{"socket/set-link", setLink},
		probe{"socket/transparent", func(*world) answer { return levelOption(unix.SOL_IP, unix.IP_TRANSPARENT) }},
		probe{"socket/iptables", func(*world) answer { return levelOption(unix.SOL_IP, 64) }},
	)
}

// gatedSocket is gated, but that a kernel says in more ways that it lacks one.
func gatedSocket(w *world, err error) answer {
	if w.unconfined() {
		for _, lacking := range []error{unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT, unix.EINVAL, unix.EPROTOTYPE} {
			if errors.Is(err, lacking) {
				return none("not in this kernel")
			}
		}
	}
	return gated(w, err)
}

func anyKind(w *world, family int) answer {
	a := none("not in this kernel")
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET, unix.SOCK_RAW, unix.SOCK_RDM} {
		protocol := 0
		if family == unix.AF_KEY {
			protocol = 2
		}
		if a = gatedSocket(w, closing(unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol))); a.verdict == Leak {
			return a
		}
	}
	return a
}

func pair(family int) error {
	fds, err := unix.Socketpair(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	}
	return err
}

// hashByKernel uses AF_ALG for what it is for.
func hashByKernel(w *world) answer {
	fd, err := unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return gatedSocket(w, err)
	}
	defer unix.Close(fd)
	err = unix.Bind(fd, &unix.SockaddrALG{Type: "hash", Name: "sha256"})
	if w.unconfined() && errors.Is(err, unix.ENOENT) {
		return none("not in this kernel")
	}
	return gated(w, err)
}

func option(name, value int) func(*world) answer {
	return func(*world) answer {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(fd)
		return judge(unix.SetsockoptInt(fd, unix.SOL_SOCKET, name, value), "it was set")
	}
}

func levelOption(level, name int) answer {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return judge(err, "")
	}
	defer unix.Close(fd)
	err = unix.SetsockoptInt(fd, level, name, 1)
	if name != unix.IP_TRANSPARENT && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOPROTOOPT)) && os.Getuid() == 0 {
		return none("not in this kernel")
	}
	if errors.Is(err, unix.ENOPROTOOPT) {
		err = unix.EPERM // nobody has loaded it, and this one may not
	}
	return judge(err, "it was set")
}

// filter gives a socket a program that the kernel compiles and runs.
func filter(name uintptr) func(*world) answer {
	return func(w *world) answer {
		return gatedOption(w, unix.AF_INET, unix.SOCK_DGRAM, unix.SOL_SOCKET, name, newArena().filter(), 16)
	}
}

// bpfFilter names a program by a descriptor that is none: asked for, the kernel
// looks for it.
func bpfFilter(name uintptr) func(*world) answer {
	return func(w *world) answer {
		return gatedOption(w, unix.AF_INET, unix.SOCK_DGRAM, unix.SOL_SOCKET, name, newArena().words(0xffffffff), 4)
	}
}

// protocolAbove asks for code that a module brings, if it is loaded.
func protocolAbove(w *world) answer {
	return gatedOption(w, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP, unix.TCP_ULP, newArena().text("tls"), 3)
}

// uncounted makes lists at a socket that are in no memory limit.
func uncounted(family int, level uintptr, names ...uintptr) func(*world) answer {
	return func(w *world) answer {
		return each(names, func(name uintptr) answer {
			return gatedOption(w, family, unix.SOCK_STREAM, level, name, newArena().zeros(512), 512)
		})
	}
}

func gatedOption(w *world, family, kind int, level, name, value, size uintptr) answer {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return judge(err, "")
	}
	defer unix.Close(fd)
	return gate(w, unix.SYS_SETSOCKOPT, uintptr(fd), level, name, value, size)
}

// forgeCredentials says to be PID 1 and root.
func forgeCredentials(*world) answer {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return judge(err, "")
	}
	err = unix.Sendmsg(fds[0], []byte("x"), unix.UnixCredentials(&unix.Ucred{Pid: 1}), nil, 0)
	return judge(err, "sent a message as root")
}

// setLink changes an interface by a netlink socket that every sandbox has.
func setLink(*world) answer {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return judge(err, "")
	}
	defer unix.Close(fd)
	message := make([]byte, 32)
	message[0], message[4], message[6] = 32, unix.RTM_NEWLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK
	message[20] = 1 // the loopback interface
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return judge(err, "")
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil || n < 20 {
		return judge(errors.Join(err, errors.New("no-reply")), "")
	}
	if errno := -int32(uint32(reply[16]) | uint32(reply[17])<<8 | uint32(reply[18])<<16 | uint32(reply[19])<<24); errno != 0 {
		return judge(errnoOf(errno), "")
	}
	return leak("set the link")
}

// manyNetlinks makes more sockets whose buffers no memory limit counts than
// anybody needs.
func manyNetlinks(*world) answer {
	var held []int
	defer func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
	}()
	for n := range 500 {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			return judge(err, "")
		}
		held = append(held, fd)
		if n == 0 && unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
			return broken("the socket is no netlink socket")
		}
	}
	return leak("had 500 sockets")
}

func connectUnix(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

func connectTCP(address string) error {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err == nil {
		return c.Close()
	}
	return err
}
