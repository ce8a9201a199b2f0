package main

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// arena is memory that does not move, for the arguments of raw calls.
type arena struct{ free []byte }

func newArena() *arena {
	b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(err)
	}
	return &arena{b}
}

// bytes copies b and returns where it lies.
func (a *arena) bytes(b []byte) uintptr {
	at := a.free[:len(b)]
	copy(at, b)
	a.free = a.free[(len(b)+15)&^15:]
	return address(at)
}

// zeros returns the address of n bytes that are 0.
func (a *arena) zeros(n int) uintptr { return a.bytes(make([]byte, max(n, 1))) }

func (a *arena) text(s string) uintptr { return a.bytes(append([]byte(s), 0)) }

// words lays 32-bit numbers out one after the other.
func (a *arena) words(n ...uint32) uintptr {
	var b []byte
	for _, w := range n {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return a.bytes(b)
}

// filter is a program of classic BPF that lets everything pass, to sockets and to
// seccomp.
func (a *arena) filter() uintptr {
	const opReturn, everything = 6, 0x7fff0000
	program := make([]byte, 16)
	binary.NativeEndian.PutUint16(program, 1)
	binary.NativeEndian.PutUint64(program[8:], uint64(a.words(opReturn, everything)))
	return a.bytes(program)
}

// call makes a system call.
func call(nr uintptr, args ...uintptr) (uintptr, error) {
	var six [6]uintptr
	copy(six[:], args)
	r, _, errno := unix.Syscall6(nr, six[0], six[1], six[2], six[3], six[4], six[5])
	if errno != 0 {
		return r, errno
	}
	return r, nil
}

// gate tries a call that the kernel refuses at the gate, if it does: with any
// other answer than a refusal it has begun to work on what it was given.
func gate(w *world, nr uintptr, args ...uintptr) answer {
	_, err := call(nr, args...)
	return gated(w, err)
}

func gated(w *world, err error) answer {
	switch {
	case err == nil:
		return leak("it worked")
	case w.unconfined() && (errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT)):
		return none("not in this kernel")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EAFNOSUPPORT):
		return judge(err, "")
	}
	return leak("the kernel took it: %v", err)
}

// closing closes a descriptor that an attack got, and passes its error on.
func closing(fd int, err error) error {
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}
