package worker

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/landlock/seccomp/install"
)

// program allows every system call but one, which it answers like that.
func program(call, answer uint32) (b []byte) {
	for _, i := range []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: answer},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	} {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// TestAFilterBelowAListener is a daemon in a container whose manager listens, as
// that of LXD does: a process can have one listener.
func TestAFilterBelowAListener(t *testing.T) {
	const inside = "WORKER_TEST_LISTENER"
	if os.Getenv(inside) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		c.Env = append(os.Environ(), inside+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	none := program(^uint32(0), unix.SECCOMP_RET_ALLOW)
	if _, err := install.Listening(none); err != nil && !errors.Is(err, unix.EBUSY) {
		t.Fatal(err)
	}
	if err := filter(program(unix.SYS_SOCKET, unix.SECCOMP_RET_USER_NOTIF)); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0); errno != unix.ENOSYS {
		t.Errorf("a call that nobody can be asked about: %v, want ENOSYS", errno)
	}
	if err := filter(program(unix.SYS_GETPPID, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); errno != unix.EPERM {
		t.Errorf("a call that the filter refuses: %v, want EPERM", errno)
	}
}
