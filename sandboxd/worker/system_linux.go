package worker

import (
	"golang.org/x/sys/unix"
)

// hostName is what every sandbox is called.
const hostName = "sandbox"

// limits are what the kernel grants each process. Hard limits are lowered to
// them where they are higher. A core size of one byte, unlike zero, keeps the
// kernel from piping a dump to the host's handler.
var limits = []struct {
	name       string
	resource   int
	soft, hard uint64
}{
	{"core", unix.RLIMIT_CORE, 1, 1},
	{"nofile", unix.RLIMIT_NOFILE, 1024, 1 << 19},
	{"memlock", unix.RLIMIT_MEMLOCK, 8 << 20, 8 << 20},
	{"rtprio", unix.RLIMIT_RTPRIO, 0, 0},
	{"nice", unix.RLIMIT_NICE, 0, 0},
	{"msgqueue", unix.RLIMIT_MSGQUEUE, 800 << 10, 800 << 10},
}

// prepareSystem sets what belongs to the new namespaces and the process.
func prepareSystem() error {
	if err := unix.Sethostname([]byte(hostName)); err != nil {
		return failed(StageSystem, "host name", err)
	}
	if err := unix.Setdomainname([]byte("(none)")); err != nil {
		return failed(StageSystem, "domain name", err)
	}
	if err := raiseLoopback(); err != nil {
		return failed(StageSystem, "loopback", err)
	}
	for _, l := range limits {
		if err := lowerLimit(l.resource, l.soft, l.hard); err != nil {
			return failed(StageSystem, "limit "+l.name, err)
		}
	}
	unix.Umask(0o022)
	return nil
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

func lowerLimit(resource int, soft, hard uint64) error {
	var now unix.Rlimit
	if err := unix.Prlimit(0, resource, nil, &now); err != nil {
		return err
	}
	hard = min(hard, now.Max)
	return unix.Prlimit(0, resource, &unix.Rlimit{Cur: min(soft, hard), Max: hard}, nil)
}
