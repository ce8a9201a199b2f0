package ebpf

import "golang.org/x/sys/unix"

// archCalls are old calls that newer ones replace.
var archCalls = map[uint32]call{
	unix.SYS_OPEN:     at(Open, -1, 0).with(1),
	unix.SYS_CREAT:    at(Create, -1, 0),
	unix.SYS_STAT:     at(Stat, -1, 0),
	unix.SYS_LSTAT:    at(Stat, -1, 0),
	unix.SYS_ACCESS:   at(Stat, -1, 0),
	unix.SYS_READLINK: at(ReadLink, -1, 0),
	unix.SYS_MKDIR:    at(Create, -1, 0),
	unix.SYS_MKNOD:    at(Create, -1, 0),
	unix.SYS_SYMLINK:  at(Create, -1, 1),
	unix.SYS_LINK:     at(Link, -1, 0).and(-1, 1),
	unix.SYS_UNLINK:   at(Remove, -1, 0),
	unix.SYS_RMDIR:    at(Remove, -1, 0),
	unix.SYS_RENAME:   at(Rename, -1, 0).and(-1, 1),
	unix.SYS_RENAMEAT: at(Rename, 0, 1).and(2, 3),
	unix.SYS_CHMOD:    at(Attributes, -1, 0),
	unix.SYS_CHOWN:    at(Attributes, -1, 0),
	unix.SYS_LCHOWN:   at(Attributes, -1, 0),
	unix.SYS_UTIME:    at(Attributes, -1, 0),
	unix.SYS_UTIMES:   at(Attributes, -1, 0),
}
