package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// wallsLost are the losses that take Landlock and seccomp away.
var wallsLost = []string{"landlock", "seccomp"}

// measureWalls compares starts and commands with those of another daemon, for
// which the kernel has neither Landlock nor seccomp.
func measureWalls(ctx context.Context, b *bench) (err error) {
	dir := filepath.Join(b.dir, "walls")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	d, err := startDaemon(ctx, b.options, dir, wallsLost...)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := d.stop(); err == nil {
			err = stopErr
		}
	}()
	without := &bench{options: b.options, daemon: d, dir: b.dir}
	var sides [2]side
	for i, b := range []*bench{b, without} {
		if sides[i], err = b.side(ctx); err != nil {
			return err
		}
	}
	const note = "the same without Landlock and seccomp"
	var starts [2]samples
	if _, err := turns(b.rounds(300), sides[0].start(ctx, &starts[0]), sides[1].start(ctx, &starts[1])); err != nil {
		return err
	}
	b.table.times("create and start", starts[0], starts[1], note)
	for _, command := range []string{"true", "/usr/bin/python3 -c pass"} {
		n := b.rounds(1000)
		if command != "true" {
			n = b.rounds(200)
		}
		got, err := turns(n, sides[0].run(ctx, command), sides[1].run(ctx, command))
		if err != nil {
			return err
		}
		b.table.times("exec "+command, got[0], got[1], note)
	}
	return nil
}

// side is one daemon of the two, with a sandbox that stays.
type side struct {
	*daemon
	codebase, stays string
}

func (b *bench) side(ctx context.Context) (s side, err error) {
	s.daemon = b.daemon
	if s.codebase, _, err = b.small(ctx); err == nil {
		s.stays, err = b.create(ctx, s.codebase, sandboxv1.Permission_PERMISSION_WRITE)
	}
	if err != nil {
		return s, err
	}
	return s, s.check(ctx)
}

// check says whether what is measured is what is claimed.
func (s side) check(ctx context.Context) error {
	info, err := s.sandboxes.GetInfo(ctx, &sandboxv1.GetInfoRequest{})
	if err != nil {
		return err
	}
	lost := map[string]bool{}
	for _, l := range info.GetLosses() {
		lost[l.GetName()] = true
	}
	for _, name := range wallsLost {
		if lost[name] != slices.Contains(s.lost, name) {
			return fmt.Errorf("%s is lost: %v", name, lost[name])
		}
	}
	// Its own, or the one that hides the walls.
	got, err := s.exec(ctx, s.stays, "grep ^Seccomp_filters: /proc/self/status")
	if want := "Seccomp_filters:\t1\n"; err == nil && got != want {
		err = fmt.Errorf("a sandbox has %q, want %q", got, want)
	}
	return err
}

// start times starts apart from the ends.
func (s side) start(ctx context.Context, starts *samples) func() error {
	return func() error {
		var sb string
		d, err := clock(func() (err error) {
			sb, err = s.create(ctx, s.codebase, sandboxv1.Permission_PERMISSION_WRITE)
			return err
		})
		if err != nil {
			return err
		}
		*starts = append(*starts, d)
		return s.destroy(ctx, sb)
	}
}

func (s side) run(ctx context.Context, command string) func() error {
	return func() error { _, err := s.exec(ctx, s.stays, command); return err }
}

// startWithout starts a command for which the kernel lacks what is lost, by a
// filter that answers as such a kernel does. The kernel remembers which calls
// the filter lets through whatever their arguments, so that it costs others
// little more than a look at a bit.
func startWithout(cmd *exec.Cmd, lost []string) error {
	if len(lost) == 0 {
		return cmd.Start()
	}
	calls := map[string]uint32{"landlock": unix.SYS_LANDLOCK_CREATE_RULESET, "seccomp": unix.SYS_SECCOMP}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number
	for _, name := range lost {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: calls[name], Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this goroutine
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
		if errno != 0 {
			result <- fmt.Errorf("cannot install a filter: %w", errno)
			return
		}
		result <- cmd.Start()
	}()
	return <-result
}
