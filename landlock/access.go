package landlock

import (
	"fmt"
	"strings"
)

// Access is a set of rights on files, as the kernel numbers them.
type Access uint64

// The rights. The comment is the first ABI that has it, where that is not 1.
const (
	Execute Access = 1 << iota
	WriteFile
	ReadFile
	ReadDir
	RemoveDir
	RemoveFile
	MakeChar
	MakeDir
	MakeReg
	MakeSock
	MakeFifo
	MakeBlock
	MakeSym
	Refer       // 2
	Truncate    // 3
	IoctlDev    // 5
	ResolveUnix // 9

	end
)

const (
	all = end - 1
	// onFiles are the rights that a rule on a file may have.
	onFiles = Execute | WriteFile | ReadFile | Truncate | IoctlDev

	look    = Execute | ReadFile | ReadDir
	rewrite = WriteFile | Truncate
	// change has no right to make devices.
	change = rewrite | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSock | MakeFifo | MakeSym | Refer
)

var accessNames = []string{
	"execute", "write_file", "read_file", "read_dir", "remove_dir", "remove_file",
	"make_char", "make_dir", "make_reg", "make_sock", "make_fifo", "make_block", "make_sym",
	"refer", "truncate", "ioctl_dev", "resolve_unix",
}

func (a Access) String() string {
	var names []string
	for i, name := range accessNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := a &^ all; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint64(rest)))
	}
	return strings.Join(names, "|")
}

// handled returns the rights that an ABI knows.
func handled(abi int) Access {
	a := all
	for _, since := range []struct {
		abi    int
		access Access
	}{{1, all}, {2, Refer}, {3, Truncate}, {5, IoctlDev}, {9, ResolveUnix}} {
		if abi < since.abi {
			a &^= since.access
		}
	}
	return a
}

// Net is a set of rights on TCP ports.
type Net uint64

// The rights; both since ABI 4.
const (
	BindTCP Net = 1 << iota
	ConnectTCP
)

// Scope is a set of things that do not leave the sandbox.
type Scope uint64

// The scopes; both since ABI 6.
const (
	AbstractUnixSocket Scope = 1 << iota
	Signal
)
