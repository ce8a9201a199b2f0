// Package docker runs sandboxes as containers of an image.
//
// An engine makes the container: its root from the image, its namespaces, none
// of them with a network, and its cgroup with the sandbox's limits. What it
// executes is the worker (package worker), never anything of the image. The
// worker connects to the daemon by a socket that nothing else in the container
// can reach, and from then on all is as in package native: the same messages,
// the same view and overlay at /workspace, the same user without capabilities,
// the same Landlock rules and seccomp filter. The image is only a read-only root
// with other programs in it.
//
// The package promises that of an image's configuration nothing is used, that a
// limit which the engine does not take fails Start, and that a container is
// removed when its sandbox ends; one that the engine cannot remove then is
// removed as soon as it can, by this daemon or its successor. The engine is not
// needed for a sandbox that runs, nor for ending one.
//
// The engine must be on this host, as root, and see Config.Dir under the same
// path. Whoever can talk to it is root on the host, so nothing inside a
// container ever can.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/runtime/native"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// Name is what the runtime is called in errors and records.
const Name = "docker"

// startPatience is how long a container may take to start, with its image there.
const startPatience = 30 * time.Second

// Config says what a Runtime works with.
type Config struct {
	// Host is the engine, as unix:///path; empty means DefaultHost.
	Host string
	// Worker is the worker's program, best a sealed memfd. It stays the
	// caller's, and open.
	Worker *os.File
	// Dir is an empty directory for sockets, from whose file system programs can
	// be executed.
	Dir string
	// Owner is the daemon's own name: containers that carry it are its own.
	Owner string
	// Scratch is as in native.Config.
	Scratch int64
	Log     *slog.Logger
}

const defaultScratch = 4 << 30

// Runtime starts containers. It is safe for concurrent use.
type Runtime struct {
	cfg     Config
	engine  *engine
	filters native.Filters
	fleet   native.Fleet
	pulls   pulls

	program sync.Once // the worker's copy below cfg.Dir
	failed  error     // of that

	sweeping sync.Mutex
	swept    bool // what a predecessor left is gone

	life  context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime, which removes the containers that a predecessor of the
// same Owner left as soon as there is an engine. It does not wait for that.
func New(cfg Config) (*Runtime, error) {
	if cfg.Scratch == 0 {
		cfg.Scratch = defaultScratch
	}
	e, err := newEngine(cfg.Host)
	if err != nil {
		return nil, err
	}
	r := &Runtime{cfg: cfg, engine: e}
	r.life, r.end = context.WithCancel(context.Background())
	r.tasks.Go(func() {
		if err := r.sweep(r.life); err != nil {
			cfg.Log.Debug("cannot look for containers of a predecessor", "error", err)
		}
	})
	return r, nil
}

// Available returns a [*runtime.UnavailableError] unless the engine answers.
func (r *Runtime) Available(ctx context.Context) error { return r.engine.connect(ctx) }

// Start starts a container of spec.Image, which is pulled if it is not there,
// and returns when it accepts commands.
//
// A [*runtime.UnavailableError] means that there is no engine, a
// [*runtime.ImageError] that there is no such image.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	if err := r.engine.connect(ctx); err != nil {
		return nil, err
	}
	if err := r.sweep(ctx); err != nil {
		return nil, err
	}
	img, err := r.image(ctx, spec.Image)
	if err != nil {
		return nil, err
	}
	bound, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	i, err := r.start(bound, spec, img)
	if err != nil && bound.Err() != nil && ctx.Err() == nil { // not the caller's deadline
		err = errors.New("it takes longer than " + startPatience.String() + ": " + err.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start sandbox %s: %w", spec.ID, err)
	}
	return i, nil
}

func (r *Runtime) start(ctx context.Context, spec runtime.Spec, img *image) (*native.Instance, error) {
	filter, err := r.filters.Compile(spec)
	if err != nil {
		return nil, err
	}
	if err := native.FreshWork(spec); err != nil {
		return nil, err
	}
	files, err := setupFiles(r.cfg.Worker, spec)
	if err != nil {
		return nil, err
	}
	defer closeAll(files[1:])
	place, err := r.place(spec.ID)
	if err != nil {
		return nil, fmt.Errorf("cannot make the container's directory: %w", err)
	}
	defer os.RemoveAll(place) // the worker is done with it
	i, pid, err := r.launch(ctx, spec, img, place)
	if err != nil {
		return nil, err
	}
	if err := r.fleet.Add(i); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	if spec.Born != nil {
		spec.Born(pid)
	}
	if err := i.SetUp(ctx, setupOf(native.NewSetup(spec, filter, r.cfg.Scratch)), files...); err != nil {
		return nil, errors.Join(err, i.Close(context.WithoutCancel(ctx)))
	}
	return i, nil
}

// setupOf leaves out paths that mean nothing in a container.
func setupOf(s *worker.Setup) *worker.Setup {
	s.View, s.Disk = "", false
	if s.Dir != "" {
		s.Dir = "/"
	}
	return s
}

// place makes the directory that a container gets: the worker's program, and
// room for a socket.
func (r *Runtime) place(id string) (string, error) {
	program := filepath.Join(r.cfg.Dir, worker.NameContainer)
	r.program.Do(func() { r.failed = copyProgram(r.cfg.Worker, program) })
	if r.failed != nil {
		return "", r.failed
	}
	dir := filepath.Join(r.cfg.Dir, id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.Link(program, filepath.Join(dir, worker.NameContainer)); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// Close ends every sandbox, all at once.
func (r *Runtime) Close() error {
	r.fleet.Close()
	r.end()
	r.tasks.Wait()
	return r.engine.close()
}
