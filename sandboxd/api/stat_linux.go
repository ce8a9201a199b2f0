package api

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fstat is fstat(2) of an open file.
func fstat(f *os.File, st *unix.Stat_t) (err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), st) })
	return errors.Join(cerr, err)
}

// kernel returns the kernel's release.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
