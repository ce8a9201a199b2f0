package seccomp

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Compile returns the program for the groups; core is always among them. Equal
// groups give equal bytes.
//
// The error is [ErrGroup], or says which call libseccomp does not know, or
// that what it wrote does not answer as it should: the host's library may be
// another version than the one that this package was tested with, so every
// program is interpreted before it is handed out.
func Compile(groups ...string) (Program, error) {
	rules, err := rules(groups)
	if err != nil {
		return nil, fmt.Errorf("cannot compile seccomp filter: %w", err)
	}
	program, err := compile(rules)
	if err != nil {
		return nil, fmt.Errorf("cannot compile seccomp filter: %w", err)
	}
	if err := verify(program, rules); err != nil {
		return nil, fmt.Errorf("cannot compile seccomp filter: %w", err)
	}
	return program, nil
}

func compile(rules map[string]rule) (Program, error) {
	filter, err := libseccomp.NewFilter(action(ENOSYS))
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	if err := filter.SetBadArchAction(libseccomp.ActKillProcess); err != nil {
		return nil, fmt.Errorf("cannot kill other ABIs: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		n, err := number(name)
		if err != nil {
			return nil, err
		}
		if err := add(filter, libseccomp.ScmpSyscall(n), rules[name]); err != nil {
			return nil, fmt.Errorf("system call %q: %w", name, err)
		}
	}
	// A binary tree over the numbers, not a list.
	if err := filter.SetOptimize(2); err != nil {
		return nil, fmt.Errorf("cannot optimize: %w", err)
	}
	return export(filter)
}

// add states a rule in libseccomp's terms. There, a condition that always holds
// is tried after those on the same call that may not; without one, libseccomp
// would take the rest of the rule for all of it.
func add(filter *libseccomp.ScmpFilter, call libseccomp.ScmpSyscall, r rule) error {
	if len(r.gates) == 0 {
		return filter.AddRuleExact(call, action(r.rest))
	}
	for _, g := range r.gates {
		conditions := make([]libseccomp.ScmpCondition, len(g.when))
		for i, m := range g.when {
			conditions[i] = libseccomp.ScmpCondition{
				Argument: m.arg, Op: libseccomp.CompareMaskedEqual,
				Operand1: uint64(m.mask), Operand2: uint64(m.value),
			}
		}
		if err := filter.AddRuleConditionalExact(call, action(g.then), conditions); err != nil {
			return err
		}
	}
	always := libseccomp.ScmpCondition{Argument: 0, Op: libseccomp.CompareGreaterEqual, Operand1: 0}
	return filter.AddRuleConditionalExact(call, action(r.rest), []libseccomp.ScmpCondition{always})
}

func action(a Answer) libseccomp.ScmpAction {
	switch a {
	case Allow:
		return libseccomp.ActAllow
	case Ask:
		return libseccomp.ActNotify
	case EPERM:
		return libseccomp.ActErrno.SetReturnCode(int16(unix.EPERM))
	}
	return libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS))
}

// export goes through a file, for libseccomp 2.5 can write to nothing else.
func export(filter *libseccomp.ScmpFilter) (Program, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make memfd: %w", err)
	}
	file := os.NewFile(uintptr(fd), "seccomp")
	defer file.Close()
	if err := filter.ExportBPF(file); err != nil {
		return nil, fmt.Errorf("cannot export: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}
