package ebpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"syscall"
)

// Op is what a system call is for.
type Op uint16

// The operations.
const (
	Open Op = iota + 1
	Stat
	Execute
	ReadLink
	Create
	Remove
	Rename
	Link
	Attributes
	Truncate
	Enter
)

var opNames = [...]string{
	Open: "open", Stat: "stat", Execute: "execute", ReadLink: "readlink", Create: "create", Remove: "remove",
	Rename: "rename", Link: "link", Attributes: "change attributes of", Truncate: "truncate", Enter: "enter",
}

func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return "unknown"
}

// Event is one system call that failed.
type Event struct {
	// PID is the process in the sandbox's own namespace.
	PID int
	Op  Op
	// Flags are open's; 0 for other operations.
	Flags uint64
	Errno syscall.Errno
	// Base is the directory that Path starts at, absolute from the sandbox's
	// root; empty if Path is absolute.
	Base string
	// Path is as the process gave it.
	Path string
}

// head is struct event in bpf/refusals.bpf.c.
type head struct {
	Sandbox, Flags uint64
	PID, Errno     uint32
	Op, PathLen    uint16
	DataLen        uint32
}

const headSize = 32

var errMalformed = errors.New("malformed event")

// decode reads one record of the ring buffer, and whose it is.
func decode(raw []byte) (sandbox uint64, e Event, err error) {
	if len(raw) < headSize {
		return 0, Event{}, errMalformed
	}
	h := head{
		Sandbox: binary.NativeEndian.Uint64(raw), Flags: binary.NativeEndian.Uint64(raw[8:]),
		PID: binary.NativeEndian.Uint32(raw[16:]), Errno: binary.NativeEndian.Uint32(raw[20:]),
		Op: binary.NativeEndian.Uint16(raw[24:]), PathLen: binary.NativeEndian.Uint16(raw[26:]),
		DataLen: binary.NativeEndian.Uint32(raw[28:]),
	}
	data := raw[headSize:]
	if uint64(h.DataLen) > uint64(len(data)) || uint32(h.PathLen) > h.DataLen || h.PathLen == 0 {
		return 0, Event{}, errMalformed
	}
	e = Event{
		PID: int(h.PID), Op: Op(h.Op), Errno: syscall.Errno(h.Errno),
		Path: string(bytes.TrimSuffix(data[:h.PathLen], []byte{0})),
	}
	if e.Op == Open {
		e.Flags = h.Flags
	}
	if names := bytes.TrimSuffix(data[h.PathLen:h.DataLen], []byte{0}); len(names) > 0 {
		parts := bytes.Split(names, []byte{0})
		slices.Reverse(parts)
		e.Base = "/" + string(bytes.Join(parts, []byte{'/'}))
	} else if !strings.HasPrefix(e.Path, "/") {
		e.Base = "/"
	}
	return h.Sandbox, e, nil
}
