// Package process is what runs in agentfense-view: it serves one view and has
// no power but that.
//
// [Main] expects the descriptors that package handover names. Before it reads
// the snapshot, which whoever made the codebase wrote, it becomes its own
// unprivileged user without capabilities, cannot gain any, leaves no core, and
// can open nothing but file contents by digest. It starts no process. It ends
// when the last mount of its view is gone, and else outlives the daemon.
package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/fuse"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
	"github.com/agentfense/agentfense/sandboxd/view/handover"
)

const (
	// maxProcs bounds the threads that serve: a view shares the machine with
	// the sandboxes that wait for it.
	maxProcs = 4
	// gcPercent trades collector time, of which a warm view needs none, for
	// memory.
	gcPercent = 50
	// maxFaults is how many reports wait for the manager before one is lost.
	maxFaults = 16
)

// Main runs the process and returns its exit status.
func Main() int {
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(min(runtime.NumCPU(), maxProcs))
	signal.Ignore(syscall.SIGPIPE) // whoever reads stderr may be gone
	if err := takeOver(); err != nil {
		fmt.Fprintf(os.Stderr, "agentfense-view: %v; only sandboxd starts it\n", err)
		return 2
	}
	control := os.NewFile(handover.ControlFD, "control")
	if err := serve(control); err != nil {
		_ = handover.Send(control, handover.Message{Kind: handover.Failed, Text: err.Error()})
		return 1
	}
	return 0
}

// takeOver checks that all descriptors are there and closes all others.
func takeOver() error {
	for fd := handover.FuseFD; fd < handover.EndFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return fmt.Errorf("cannot use descriptor %d: %w", fd, err)
		}
	}
	if err := unix.Close(handover.BinaryFD); err != nil {
		return fmt.Errorf("cannot close binary: %w", err)
	}
	// The runtime's own descriptors are above EndFD, so those stay.
	return unix.SetNonblock(handover.ControlFD, true)
}

func serve(control *os.File) error {
	cfg, err := readConfig(os.NewFile(handover.ConfigFD, "config"))
	if err != nil {
		return err
	}
	abi, err := confine(cfg)
	if err != nil {
		return fmt.Errorf("cannot confine the view: %w", err)
	}
	faults := make(chan error, maxFaults)
	v, err := newView(cfg, func(fault error) {
		select {
		case faults <- fault:
		default: // the requests go first
		}
	})
	if err != nil {
		return err
	}
	server, err := v.Connect(handover.FuseFD)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { v.Warm(ctx) })
	// That nobody listens is no reason to end: the daemon may be gone, but the
	// mount need not be.
	_ = handover.Send(control, handover.Message{Kind: handover.Ready, Landlock: abi})
	work.Go(func() { answer(control, v) })
	work.Go(func() { pass(ctx, control, faults) })
	server.Serve()
	cancel()
	err = control.Close()
	work.Wait()
	return err
}

func readConfig(f *os.File) (handover.Config, error) {
	defer f.Close()
	var cfg handover.Config
	data, err := io.ReadAll(f)
	if err == nil {
		err = json.Unmarshal(data, &cfg)
	}
	if err != nil {
		return cfg, fmt.Errorf("cannot read config: %w", err)
	}
	return cfg, nil
}

func newView(cfg handover.Config, report func(error)) (*fuse.View, error) {
	p, err := cfg.Policy()
	if err != nil {
		return nil, err
	}
	data, err := mapFile(handover.TreeFD)
	if err != nil {
		return nil, fmt.Errorf("cannot map the snapshot: %w", err)
	}
	snapshot, err := tree.Open(data)
	if err != nil {
		return nil, fmt.Errorf("cannot open the snapshot: %w", err)
	}
	return fuse.New(fuse.Config{
		Tree: snapshot, Policy: p,
		Objects: os.NewFile(handover.ObjectsFD, "objects"),
		UID:     cfg.Owner, GID: cfg.Owner,
		Fault: report,
	}), nil
}

// mapFile maps the whole file for the life of the process, and closes it.
func mapFile(fd int) ([]byte, error) {
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
}

// pass reports faults until ctx ends.
func pass(ctx context.Context, control *os.File, faults <-chan error) {
	for {
		select {
		case fault := <-faults:
			_ = handover.Send(control, handover.Message{Kind: handover.Fault, Text: fault.Error()})
		case <-ctx.Done():
			return
		}
	}
}

// answer replies to pings until the daemon is gone. That does not end the
// view: it serves while it is mounted anywhere.
func answer(control *os.File, v *fuse.View) {
	for {
		m, err := handover.Receive(control)
		if err != nil {
			return
		}
		if m.Kind != handover.Ping {
			continue
		}
		busy, done := v.Load()
		if handover.Send(control, handover.Message{Kind: handover.Pong, Busy: busy, Done: done}) != nil {
			return
		}
	}
}
