// Package native runs sandboxes as processes in namespaces of their own.
//
// A sandbox is a worker (package worker) that the daemon starts in new mount,
// pid, network, ipc, uts and cgroup namespaces, as an unprivileged user without
// capabilities, in a root file system made of read-only parts of the host and
// of the sandbox's view.
//
// The package promises that nothing of a sandbox outlives its [Runtime]'s
// process: the worker ends when its socket closes, the kernel ends what
// descends from it, and every mount lies in a namespace that ends with them.
// What it calls for needs root.
package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/agentfense/agentfense/landlock"
	"github.com/agentfense/agentfense/landlock/seccomp"
	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// startPatience is how long a worker may take to serve.
const startPatience = 20 * time.Second

// Config says what a Runtime works with.
type Config struct {
	// Worker is the worker's program, best a sealed memfd. It stays the
	// caller's, and open.
	Worker *os.File
	// Dir is an existing directory for mount points, in a mount namespace that
	// is the daemon's alone.
	Dir string
	// Cgroups is where the sandboxes' groups go.
	Cgroups *cgroup.Tree
	// Toolchains are directories of the host that every sandbox sees, read-only
	// and under the same path, beside /usr.
	Toolchains []string
	// Scratch caps what each sandbox's /tmp, /home/agent and /dev/shm hold
	// together, in bytes, zero means the default. A sandbox with a memory limit
	// has half of that at most.
	Scratch int64
	// Log is where workers' unexpected ends go.
	Log *slog.Logger
}

const defaultScratch = 4 << 30

// Runtime starts native sandboxes. It is safe for concurrent use.
type Runtime struct {
	cfg     Config
	roots   *roots
	filters Filters
	fleet   Fleet
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime.
func New(cfg Config) *Runtime {
	if cfg.Scratch == 0 {
		cfg.Scratch = defaultScratch
	}
	return &Runtime{cfg: cfg, roots: newRoots(cfg.Dir, cfg.Toolchains)}
}

// Start starts a sandbox and returns when it accepts commands. The error names
// the stage that failed.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	filter, err := r.filters.Compile(spec)
	if err != nil {
		return nil, err
	}
	root, err := r.roots.acquire(rootKey{uid: spec.UID, output: worker.HasOutput(spec.Plan.Writable)})
	if err != nil {
		return nil, err
	}
	if err := FreshWork(spec); err != nil {
		return nil, err
	}
	group, err := r.cfg.Cgroups.New(spec.ID, LimitsOf(spec))
	if err != nil {
		return nil, err
	}
	i, pid, err := spawn(r.cfg.Worker, group, r.cfg.Log.With("sandbox", spec.ID))
	if err != nil {
		return nil, errors.Join(err, group.Delete())
	}
	if err := r.fleet.Add(i); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	if spec.Born != nil {
		spec.Born(pid)
	}
	setup, files := NewSetup(spec, filter, r.cfg.Scratch), slices.Clone(group.Tasks())
	setup.Root = root
	if setup.Disk {
		files = append(files, spec.Disk)
	}
	if err := i.SetUp(ctx, setup, files...); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start sandbox %s: %w", spec.ID, err), i.Close(context.WithoutCancel(ctx)))
	}
	return i, nil
}

// LimitsOf returns what the sandbox's group is to enforce.
func LimitsOf(spec runtime.Spec) runtime.Limits {
	l := spec.Limits
	if l.Pids <= 0 {
		l.Pids = runtime.DefaultPids
	}
	// Its own threads have room whatever the sandbox does.
	l.Pids = min(l.Pids, runtime.MaxPids-worker.Threads) + worker.Threads
	for _, lost := range spec.Lost {
		switch lost {
		case host.LossPids:
			l.Pids = 0
		case host.LossMemory:
			l.Memory = 0
		case host.LossCPU:
			l.CPUQuota, l.CPUShares = 0, 0
		}
	}
	return l
}

// NewSetup returns the set-up of a sandbox's worker, but for its Root. Scratch is
// that of Config.
func NewSetup(spec runtime.Spec, filter seccomp.Program, scratch int64) *worker.Setup {
	s := &worker.Setup{
		View:      spec.View,
		Writable:  spec.Plan.Writable,
		Protected: spec.Plan.Protected,
		Files:     spec.Plan.Files,
		UID:       spec.UID,
		Scratch:   scratch,
		Memory:    spec.Limits.Memory,
		Filter:    string(filter),

		NoLandlock: slices.Contains(spec.Lost, landlock.LossLandlock),
	}
	if s.Memory > 0 {
		s.Scratch = min(s.Scratch, s.Memory/2)
	}
	if !spec.Plan.ReadOnly() {
		s.Dir, s.Disk = spec.Dir, spec.Disk != nil
	}
	return s
}

// FreshWork empties overlayfs's work directory, whose remains of an earlier,
// volatile mount would forbid a new one. The upper keeps the delta.
func FreshWork(spec runtime.Spec) error {
	if spec.Plan.ReadOnly() {
		return nil
	}
	work := spec.Dir + "/work"
	if spec.Disk != nil {
		work = fmt.Sprintf("/proc/self/fd/%d/work", spec.Disk.Fd())
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("cannot empty the overlay's work directory: %w", err)
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return fmt.Errorf("cannot make the overlay's work directory: %w", err)
	}
	return nil
}

// Close ends every sandbox, all at once, and unmounts what they shared.
func (r *Runtime) Close() error {
	r.fleet.Close()
	return r.roots.close()
}
