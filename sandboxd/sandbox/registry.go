package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Store is what a registry needs of the content store.
type Store interface {
	// Snapshot and Head return pinned snapshots.
	Snapshot(tree.Digest) (*store.Snapshot, error)
	Head(codebase string) (*store.Snapshot, error)
	SetHead(codebase string, from, to tree.Digest) error
	Batch() (*store.Batch, error)
	// SandboxUID is the unprivileged uid that an owner's sandboxes run as.
	SandboxUID(owner uint32) (uint32, error)
}

// Views mounts what sandboxes see.
type Views interface {
	Acquire(ctx context.Context, snapshot tree.Digest, pol *policy.Policy, uid uint32) (View, error)
}

// View is a mounted view, held until it is released.
type View interface {
	Path() string
	// Done is closed when the view's server has died.
	Done() <-chan struct{}
	Release()
}

// Other is a runtime that may come and go.
type Other interface {
	runtime.Runtime
	// Available returns a [*runtime.UnavailableError] unless Start may succeed.
	Available(context.Context) error
}

// Config is what a registry works with. All but Others, MaxPerOwner, OutputRate,
// Losses and Recorder is needed.
type Config struct {
	// Dir is the state directory; sandboxes and trash are made below it.
	Dir       string
	Store     Store
	Codebases Codebases
	Views     Views
	Runtime   runtime.Runtime
	// Others are runtimes that a sandbox gets only if it asks for them, by name.
	Others map[string]Other
	// Recorder may be nil: then nobody is told of denials.
	Recorder Recorder
	// MaxPerOwner caps the sandboxes of one owner, running or not; zero means
	// no limit. Going over it is a LimitError.
	MaxPerOwner int
	// OutputRate caps what the commands of one sandbox write, in bytes per
	// second; zero means no limit.
	OutputRate int64
	// Losses are what this host cannot enforce.
	Losses []host.Loss
	Log    *slog.Logger
}

const (
	stopTimeout = 4 * time.Second
	// LimitSandboxes names Config.MaxPerOwner in errors.
	LimitSandboxes = "sandboxes-per-owner"

	sandboxesName = "sandboxes"
	trashName     = "trash"
)

// Registry holds all sandboxes.
type Registry struct {
	cfg    Config
	dir    *os.Root // sandboxes/
	trash  *trash
	plans  planCache
	leases *leases
	starts *starts

	life  context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup
	// recheck tells the expiry loop that a deadline came or went.
	recheck chan struct{}
	// patience is how long the end of one sandbox may take.
	patience time.Duration

	mu      sync.Mutex
	closed  bool
	known   map[string]*Sandbox
	perUID  map[uint32]int // sandboxes known or being made, by owner
	request map[requestKey]*creation
}

// Open reads the records below cfg.Dir and takes charge of their sandboxes.
// None of them runs: what ran when the daemon ended is Stopped, and says so.
func Open(cfg Config) (*Registry, error) {
	r := &Registry{
		cfg:      cfg,
		recheck:  make(chan struct{}, 1),
		patience: stopTimeout,
		starts:   newStarts(startsAtOnce()),
		known:    make(map[string]*Sandbox),
		perUID:   make(map[uint32]int),
		request:  make(map[requestKey]*creation),
	}
	timeouts, err := cfg.Codebases.IdleTimeouts()
	if err != nil {
		return nil, fmt.Errorf("cannot list the codebases: %w", err)
	}
	r.leases = newLeases(timeouts)
	state, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state directory: %w", err)
	}
	defer state.Close()
	for _, name := range []string{sandboxesName, trashName} {
		if err := state.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("cannot make the state directory: %w", err)
		}
	}
	if r.dir, err = state.OpenRoot(sandboxesName); err != nil {
		return nil, fmt.Errorf("cannot open the state directory: %w", err)
	}
	bin, err := state.OpenFile(trashName, os.O_RDONLY, 0)
	if err != nil {
		r.dir.Close()
		return nil, fmt.Errorf("cannot open the trash: %w", err)
	}
	r.trash = newTrash(bin, cfg.Log)
	if err := r.load(); err != nil {
		for _, s := range r.known {
			s.snap.Close()
		}
		r.dir.Close()
		bin.Close()
		return nil, err
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.tasks.Go(func() { r.trash.run(r.life) })
	r.tasks.Go(r.expire)
	return r, nil
}

// Find returns the sandbox with an id, or ErrNotFound.
func (r *Registry) Find(id string) (*Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[id]; s != nil {
		return s, nil
	}
	return nil, ErrNotFound
}

// all returns every sandbox, in no order.
func (r *Registry) all() []*Sandbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Sandbox, 0, len(r.known))
	for _, s := range r.known {
		list = append(list, s)
	}
	return list
}

// Close ends every running sandbox, all at once, and waits for what the
// registry started. The sandboxes stay on disk. It takes at most stopTimeout
// and a little.
func (r *Registry) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()

	list := r.all()
	errs := make([]error, len(list))
	var stops sync.WaitGroup
	for i, s := range list {
		s.end()
		stops.Go(func() { errs[i] = s.shutDown() })
	}
	stops.Wait()
	r.end()
	r.tasks.Wait()
	for _, s := range list {
		s.letGo()
	}
	r.dir.Close()
	r.trash.dir.Close()
	return errors.Join(errs...)
}

// isClosed reports whether Close has begun.
func (r *Registry) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}
