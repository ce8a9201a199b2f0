package seccomp

import "fmt"

// Answer is what a program says to a call: the value that the kernel acts on.
type Answer uint32

// The answers that compiled programs give.
const (
	Allow       Answer = 0x7fff0000 // SECCOMP_RET_ALLOW
	EPERM       Answer = 0x00050001 // SECCOMP_RET_ERRNO and the errno
	ENOSYS      Answer = 0x00050026
	Ask         Answer = 0x7fc00000 // SECCOMP_RET_USER_NOTIF
	KillProcess Answer = 0x80000000 // SECCOMP_RET_KILL_PROCESS
)

func (a Answer) String() string {
	switch a {
	case Allow:
		return "allow"
	case EPERM:
		return "EPERM"
	case ENOSYS:
		return "ENOSYS"
	case Ask:
		return "ask"
	case KillProcess:
		return "kill"
	}
	return fmt.Sprintf("%#08x", uint32(a))
}

// Call is a system call as a program sees it.
type Call struct {
	Arch   uint32 // AUDIT_ARCH_*
	Number uint32
	IP     uint64
	Args   [6]uint64
}
