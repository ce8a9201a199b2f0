package worker

import (
	"strconv"
	"strings"

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
	if err := standBack(); err != nil {
		return err
	}
	unix.Umask(0o022)
	return nil
}

const (
	// niceStep is how much nicer than the daemon a sandbox is.
	niceStep = 5
	// oomStep is how much earlier than the daemon a sandbox is killed when the
	// host is out of memory, in thousandths of that memory.
	oomStep = 500
	oomMax  = 1000
)

// standBack puts the calling thread, and so what it will execute, behind the
// daemon where CPU time and memory are short.
func standBack() error {
	const kernelBase = 20 // getpriority(2) counts down from it
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, 0, kernelBase-now+niceStep)
	}
	if err != nil {
		return failed(StageSystem, "nice", err)
	}
	fd, err := unix.Open("/proc/self/oom_score_adj", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(StageSystem, "oom score", err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 16)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return failed(StageSystem, "oom score", err)
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err == nil {
		_, err = unix.Write(fd, strconv.AppendInt(nil, int64(min(score+oomStep, oomMax)), 10))
	}
	return failed(StageSystem, "oom score", err)
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
	if ifr.Uint16()&unix.IFF_UP != 0 {
		return nil
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
