// Package daemon puts the rooms of sandboxd together and runs them.
//
// It is wiring: what is decided here is the order in which parts are opened
// and closed, where they put things, and who may connect. It promises that a
// second daemon on the same directories is refused, that what a crashed
// predecessor left (mounts, cgroups, sockets) is gone before the socket
// answers, and that after [Run] nothing of the daemon is left but its state.
package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/api"
	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/ingest"
	"github.com/agentfense/agentfense/sandboxd/runtime/docker"
	"github.com/agentfense/agentfense/sandboxd/runtime/native"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/session"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
	"github.com/agentfense/agentfense/sandboxd/view"
)

// Options says how a daemon runs.
type Options struct {
	// StateDir keeps everything that lasts. RunDir is for sockets and mount
	// points. Both are made if their parents exist.
	StateDir, RunDir string
	// Listen is "unix:///path"; empty means api.sock in RunDir. A socket that
	// systemd passes wins.
	Listen string
	// Mode and Group are the socket's; who can connect to it can have
	// sandboxes. Group is a name or number; empty means root's.
	Mode  os.FileMode
	Group string
	// AdminGroup is the group whose members may use everybody's sandboxes;
	// empty: root only.
	AdminGroup string
	// UIDBase begins the range of unprivileged uids that nothing else on the
	// host may use: the first is the views', the others the sandboxes'.
	UIDBase uint32
	// ViewIdle is how long an unused view stays mounted.
	ViewIdle time.Duration
	// Toolchains are directories of the host that every sandbox sees.
	Toolchains []string
	// MaxSandboxes caps the sandboxes of one uid; zero means no limit.
	MaxSandboxes int
	// MaxOutputRate caps what the commands of one sandbox write, in bytes per
	// second; zero means no limit.
	MaxOutputRate int64
	Version       string
	Log           *slog.Logger
}

const (
	// MinOutputRate is the least Options.MaxOutputRate but zero, DefaultOutputRate
	// what it is if nobody says.
	MinOutputRate     = sandbox.MinOutputRate
	DefaultOutputRate = sandbox.DefaultOutputRate

	// stopPatience is how long calls may take to end once their sandboxes have.
	stopPatience = 500 * time.Millisecond
)

// daemon is everything that is open, in the order of opening.
type daemon struct {
	opt       Options
	store     *store.Store
	cgroups   *cgroup.Tree
	views     *view.Manager
	runtime   *native.Runtime
	docker    *docker.Runtime
	recorder  sandbox.Recorder
	losses    []host.Loss
	sandboxes *sandbox.Registry
	sessions  session.Registry
	server    *api.Server
	socket    *socket

	closers []func() error // run last to first
}

// Run serves until ctx ends, then ends every sandbox and returns. The process
// must have been through [Isolate].
func Run(ctx context.Context, opt Options) (err error) {
	d := &daemon{opt: opt}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(); err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { d.collect(background) })
	running.Go(func() { d.balance(background) })
	defer func() { stop(); running.Wait() }()

	served := make(chan error, 1)
	go func() { served <- d.server.Serve(d.socket.listener) }()
	opt.Log.Info("ready", "version", opt.Version, "listen", d.socket.path, "state", opt.StateDir)
	notify("READY=1")
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil
	}
	notify("STOPPING=1")
	opt.Log.Info("stopping")
	d.stop()
	return errors.Join(err, <-served)
}

// open opens everything, and returns with the socket bound.
func (d *daemon) open() error {
	for _, step := range []func() error{
		d.openDirs, d.openStore, d.openViews, d.openRuntime, d.openRecorder, d.openSandboxes, d.openServer,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// onClose makes close call f, before what was given to onClose earlier.
func (d *daemon) onClose(f func() error) { d.closers = append(d.closers, f) }

func (d *daemon) close() error {
	var errs []error
	for _, f := range slices.Backward(d.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (d *daemon) openDirs() error {
	for dir, mode := range map[*string]os.FileMode{&d.opt.StateDir: 0o700, &d.opt.RunDir: 0o755} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("cannot find directory: %w", err)
		}
		*dir = abs
		if err := os.Mkdir(abs, mode); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("cannot make directory: %w", err)
		}
	}
	for _, dir := range []string{d.opt.StateDir, d.opt.RunDir} {
		unlock, err := lockDir(dir)
		if err != nil {
			return err
		}
		d.onClose(unlock)
	}
	for _, name := range []string{"views", "roots"} {
		if err := d.freshDir(filepath.Join(d.opt.RunDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// freshDir makes a directory for mount points. What a predecessor left there
// has no mounts any more: they were in its own mount namespace.
func (d *daemon) freshDir(path string) error {
	if err := detachBelow(path); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("cannot remove what a predecessor left: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return fmt.Errorf("cannot make directory: %w", err)
	}
	d.onClose(func() error { return os.RemoveAll(path) })
	return nil
}

func (d *daemon) openStore() (err error) {
	d.store, err = store.Open(filepath.Join(d.opt.StateDir, "store"), store.Options{
		ViewGID: d.opt.UIDBase, UIDBase: d.opt.UIDBase + 1, UIDCount: host.UIDCount - 1,
	})
	if err == nil {
		d.onClose(d.store.Close)
	}
	return err
}

func (d *daemon) openViews() error {
	program, err := openProgram("agentfense-view")
	if err != nil {
		return err
	}
	d.onClose(program.Close)
	d.views = view.NewManager(view.Config{
		Binary: program, Dir: filepath.Join(d.opt.RunDir, "views"), Store: d.store,
		UID: d.opt.UIDBase, GID: d.opt.UIDBase, Idle: d.opt.ViewIdle, Log: d.opt.Log,
	})
	d.onClose(d.views.Close)
	return nil
}

func (d *daemon) openRuntime() error {
	program, err := openProgram("agentfense-worker")
	if err != nil {
		return err
	}
	d.onClose(program.Close)
	if d.cgroups, err = cgroup.Open(d.cgroupName()); err != nil {
		return err
	}
	left, err := d.cgroups.Sweep()
	if err != nil {
		return err
	}
	if len(left) > 0 {
		d.opt.Log.Warn("ended what a predecessor left running", "sandboxes", left)
	}
	d.onClose(d.cgroups.Close)
	d.runtime = native.New(native.Config{
		Worker: program, Dir: filepath.Join(d.opt.RunDir, "roots"), Cgroups: d.cgroups,
		Toolchains: d.opt.Toolchains, Log: d.opt.Log,
	})
	d.onClose(d.runtime.Close)
	return d.openDocker(program)
}

// cgroupName is the daemon's own: the same for the same state directory.
func (d *daemon) cgroupName() string {
	sum := sha256.Sum256([]byte(d.opt.StateDir))
	return "d" + hex.EncodeToString(sum[:6])
}

func (d *daemon) openSandboxes() (err error) {
	d.sandboxes, err = sandbox.Open(sandbox.Config{
		Dir: d.opt.StateDir, Store: d.store, Codebases: d.store, Views: viewAdapter{d.views},
		Runtime: d.runtime, Others: map[string]sandbox.Other{docker.Name: d.docker}, Recorder: d.recorder,
		MaxPerOwner: d.opt.MaxSandboxes, OutputRate: d.opt.MaxOutputRate, Losses: d.losses, Log: d.opt.Log,
	})
	if err == nil {
		d.onClose(d.sandboxes.Close)
		d.onClose(func() error { d.sessions.Close(); return nil })
	}
	return err
}

func (d *daemon) openServer() error {
	cfg := api.Config{
		Sandboxes: d.sandboxes, Sessions: &d.sessions, Store: d.store, Ingester: ingest.New(d.store),
		Version: d.opt.Version, Losses: d.losses, Log: d.opt.Log,
	}
	if d.opt.AdminGroup != "" {
		gid, err := groupID(d.opt.AdminGroup)
		if err != nil {
			return err
		}
		cfg.AdminGroup = &gid
	}
	d.server = api.New(cfg)
	var err error
	if d.socket, err = d.listen(); err == nil {
		d.onClose(d.socket.close)
	}
	return err
}

// stop ends sandboxes and calls, side by side: a call that waits for a command
// ends with its sandbox.
func (d *daemon) stop() {
	stopped := make(chan error, 1)
	go func() { stopped <- d.sandboxes.Close() }()
	d.server.Stop(func() {
		if err := <-stopped; err != nil {
			d.opt.Log.Error("cannot end every sandbox", "error", err)
		}
	}, stopPatience)
}

const (
	collectEvery = time.Hour
	// collectAge keeps what was stored lately: somebody may be about to use it.
	collectAge = 24 * time.Hour
)

// collect removes content that nothing needs, now and then, until ctx ends.
func (d *daemon) collect(ctx context.Context) {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		result, err := d.store.Collect(ctx, collectAge)
		if err != nil && ctx.Err() == nil {
			d.opt.Log.Error("cannot collect unused content", "error", err)
			continue
		}
		d.opt.Log.Info("collected unused content", "result", result)
	}
}

// balanceAgain is how long after an error busy sandboxes go last again.
const balanceAgain = 10 * time.Second

// balance lets busy sandboxes go last, until ctx ends.
func (d *daemon) balance(ctx context.Context) {
	for {
		err := d.cgroups.Run(ctx)
		if err != nil {
			d.opt.Log.Warn("busy sandboxes do not go last: others wait longer beside them", "error", err)
		}
		if missing := (*cgroup.MissingError)(nil); errors.Is(err, cgroup.ErrNoIdleGroups) || errors.As(err, &missing) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(balanceAgain):
		}
	}
}

// viewAdapter makes a view.Manager what the registry wants.
type viewAdapter struct{ m *view.Manager }

func (a viewAdapter) Acquire(ctx context.Context, snapshot tree.Digest, pol *policy.Policy, uid uint32) (sandbox.View, error) {
	v, err := a.m.Acquire(ctx, view.Key{Snapshot: snapshot, Policy: pol, UID: uid})
	if err != nil {
		return nil, err
	}
	return v, nil
}
