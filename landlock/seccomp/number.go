package seccomp

import (
	"fmt"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

// byHand are calls that libseccomp 2.5 does not know. Newer calls have the same
// number on all architectures.
var byHand = map[string]uint32{
	"cachestat":     451,
	"fchmodat2":     452,
	"futex_wake":    454,
	"futex_wait":    455,
	"futex_requeue": 456,
	"mseal":         462,
	"setxattrat":    463,
	"getxattrat":    464,
	"listxattrat":   465,
	"removexattrat": 466,
}

// number returns the number of a call. It fails for names that nobody knows
// and for calls that the architecture lacks: a rule that cannot be made is
// never left out.
func number(name string) (uint32, error) {
	n, err := libseccomp.GetSyscallFromName(name)
	hand, known := byHand[name]
	switch {
	case err != nil && known:
		return hand, nil
	case err != nil:
		return 0, fmt.Errorf("system call %q: %w", name, err)
	case n < 0:
		return 0, fmt.Errorf("system call %q does not exist on this architecture", name)
	case known && uint32(n) != hand:
		return 0, fmt.Errorf("system call %q: libseccomp says number %d, want %d", name, n, hand)
	}
	return uint32(n), nil
}
