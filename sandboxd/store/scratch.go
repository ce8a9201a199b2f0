package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Scratch returns an empty file that has no name, and is gone when it is closed.
func (s *Store) Scratch() (*os.File, error) {
	fd, err := unix.Openat(s.tmp.fd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary file: %w", err)
	}
	return os.NewFile(uintptr(fd), "scratch"), nil
}
