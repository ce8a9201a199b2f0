package landlock

import (
	"errors"
	"fmt"

	llsyscall "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// signalFix is the bit of the erratum that made the signal scope work.
const signalFix = 1 << 1

// HaveABI returns the newest ABI that the kernel offers and the library can
// use; 0 means that Landlock is not built in or not switched on. A kernel whose
// scopes do not work yet counts as one that has none.
func HaveABI() (int, error) {
	abi, err := llsyscall.LandlockGetABIVersion()
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot probe Landlock: %w", err)
	}
	if abi >= abiScope {
		if errata, err := llsyscall.LandlockGetErrata(); err != nil || errata&signalFix == 0 {
			return abiScope - 1, nil
		}
	}
	return min(abi, NewestABI), nil
}

// Errata returns the fixes that the kernel says it has, as a set of bits; 0
// where it cannot say.
func Errata() int {
	errata, err := llsyscall.LandlockGetErrata()
	if err != nil {
		return 0
	}
	return errata
}
