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
	"sync"
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
	filters filters

	mu        sync.Mutex
	closed    bool
	instances map[*Instance]struct{}
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime.
func New(cfg Config) *Runtime {
	if cfg.Scratch == 0 {
		cfg.Scratch = defaultScratch
	}
	return &Runtime{cfg: cfg, roots: newRoots(cfg.Dir, cfg.Toolchains), instances: map[*Instance]struct{}{}}
}

// Start starts a sandbox and returns when it accepts commands. The error names
// the stage that failed.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	var filter seccomp.Program
	if !slices.Contains(spec.Lost, host.LossSeccomp) {
		var err error
		if filter, err = r.filters.compile(spec.Groups); err != nil {
			return nil, err
		}
	}
	root, err := r.roots.acquire(rootKey{uid: spec.UID, output: hasOutput(spec.Plan)})
	if err != nil {
		return nil, err
	}
	if !spec.Plan.ReadOnly() {
		dir := spec.Dir
		if spec.Disk != nil {
			dir = fmt.Sprintf("/proc/self/fd/%d", spec.Disk.Fd())
		}
		if err := freshWork(dir); err != nil {
			return nil, err
		}
	}
	group, err := r.cfg.Cgroups.New(spec.ID, limitsOf(spec))
	if err != nil {
		return nil, err
	}
	i, err := spawn(r.cfg.Worker, group)
	if err != nil {
		return nil, errors.Join(err, group.Delete())
	}
	i.log = r.cfg.Log.With("sandbox", spec.ID)
	if err := r.add(i); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	if spec.Born != nil {
		spec.Born(i.process.Pid)
	}
	if err := i.setUp(ctx, r.setup(spec, root, filter), spec.Disk); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start sandbox %s: %w", spec.ID, err), i.Close(context.WithoutCancel(ctx)))
	}
	return i, nil
}

// limitsOf returns what the sandbox's group is to enforce.
func limitsOf(spec runtime.Spec) runtime.Limits {
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

func (r *Runtime) setup(spec runtime.Spec, root string, filter seccomp.Program) *worker.Setup {
	s := &worker.Setup{
		Root:      root,
		View:      spec.View,
		Writable:  spec.Plan.Writable,
		Protected: spec.Plan.Protected,
		Files:     spec.Plan.Files,
		UID:       spec.UID,
		Scratch:   r.cfg.Scratch,
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

// freshWork empties overlayfs's work directory, whose remains of an earlier,
// volatile mount would forbid a new one. The upper keeps the delta.
func freshWork(dir string) error {
	work := dir + "/work"
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("cannot empty the overlay's work directory: %w", err)
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return fmt.Errorf("cannot make the overlay's work directory: %w", err)
	}
	return nil
}

func (r *Runtime) add(i *Instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return runtime.ErrEnded
	}
	r.instances[i] = struct{}{}
	i.forget = func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.instances, i)
	}
	return nil
}

// Close ends every sandbox, all at once, and unmounts what they shared.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	var wg sync.WaitGroup
	for i := range r.instances {
		wg.Go(func() { _ = i.Close(context.Background()) })
	}
	r.mu.Unlock()
	wg.Wait()
	return r.roots.close()
}
