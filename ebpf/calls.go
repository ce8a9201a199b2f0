package ebpf

import "golang.org/x/sys/unix"

// call says where in its arguments a system call has its paths; it is struct
// call in bpf/refusals.bpf.c. A position of -1 means that there is none.
type call struct {
	Op          uint8
	Dir, Path   int8
	Dir2, Path2 int8
	Flags       int8
	_           [2]uint8
}

func at(op Op, dir, path int8) call {
	return call{Op: uint8(op), Dir: dir, Path: path, Dir2: -1, Path2: -1, Flags: -1}
}

func (c call) and(dir, path int8) call { c.Dir2, c.Path2 = dir, path; return c }
func (c call) with(flags int8) call    { c.Flags = flags; return c }

// calls are those of every architecture.
var calls = map[uint32]call{
	unix.SYS_OPENAT:     at(Open, 0, 1).with(2),
	unix.SYS_OPENAT2:    at(Open, 0, 1), // its flags are behind a pointer
	unix.SYS_NEWFSTATAT: at(Stat, 0, 1),
	unix.SYS_STATX:      at(Stat, 0, 1),
	unix.SYS_FACCESSAT:  at(Stat, 0, 1),
	unix.SYS_FACCESSAT2: at(Stat, 0, 1),
	unix.SYS_READLINKAT: at(ReadLink, 0, 1),
	unix.SYS_EXECVE:     at(Execute, -1, 0),
	unix.SYS_EXECVEAT:   at(Execute, 0, 1),
	unix.SYS_MKDIRAT:    at(Create, 0, 1),
	unix.SYS_MKNODAT:    at(Create, 0, 1),
	unix.SYS_SYMLINKAT:  at(Create, 1, 2),
	unix.SYS_LINKAT:     at(Link, 0, 1).and(2, 3),
	unix.SYS_UNLINKAT:   at(Remove, 0, 1),
	unix.SYS_RENAMEAT2:  at(Rename, 0, 1).and(2, 3),
	unix.SYS_FCHMODAT:   at(Attributes, 0, 1),
	unix.SYS_FCHOWNAT:   at(Attributes, 0, 1),
	unix.SYS_UTIMENSAT:  at(Attributes, 0, 1),
	unix.SYS_SETXATTR:   at(Attributes, -1, 0),
	unix.SYS_LSETXATTR:  at(Attributes, -1, 0),
	unix.SYS_TRUNCATE:   at(Truncate, -1, 0),
	unix.SYS_CHDIR:      at(Enter, -1, 0),
}
