package ebpf

import "golang.org/x/sys/unix"

// archCalls are old calls that newer ones replace.
var archCalls = map[uint32]call{unix.SYS_RENAMEAT: at(Rename, 0, 1).and(2, 3)}
