package sandbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentfense/agentfense/delta"
	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/disk"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// Sandbox is one sandbox, running or not. Its methods are safe for concurrent
// use; those that change its status wait for each other.
type Sandbox struct {
	reg *Registry
	// turn is held by whoever changes the status.
	turn lock
	// delta is held by whoever reads or commits the delta. It is taken after
	// turn, never before it.
	delta lock

	mu     sync.Mutex // above what follows
	info   Info
	run    *running // nil unless Running
	life   context.Context
	cancel context.CancelFunc
	// broken means that the record could not be read: it is left as it is.
	broken    bool
	committed string // see record.Committed

	diskMu sync.Mutex // above disk
	disk   *disk.Disk // nil without a disk limit, and until it is used

	pace     *pacer
	idle     idle
	leave    func()      // ends its use of the codebase
	expiring atomic.Bool // the expiry loop is destroying it

	// These three belong to whoever holds delta, and are made by openPast.
	differ  *delta.Differ
	past    *store.Snapshot // snap with what was committed
	settled []Change        // what Diff found when all of it was committed

	// What follows is filled by prepare, and changed by nobody else but unpin,
	// which holds both turn and delta.
	prep sync.Mutex
	snap *store.Snapshot
	pol  *policy.Policy
	plan policy.Plan
}

// running is what exists only while a sandbox runs.
type running struct {
	inst runtime.Instance
	view View
	// recording is nil if nobody watches the sandbox.
	recording Watch
	// ended is closed by finish.
	ended chan struct{}
	// life ends when the instance has ended, or is about to.
	life context.Context
	over context.CancelCauseFunc

	lingering atomic.Int32 // see Linger

	shellMu sync.Mutex
	shell   string // decided once
}

func newSandbox(r *Registry, rec record) *Sandbox {
	s := &Sandbox{
		reg: r, turn: newLock(), delta: newLock(), info: rec.Info,
		broken: rec.Version == 0 && rec.Status == Error, committed: rec.Committed,
		pace: newPacer(r.OutputRate(rec.Limits.OutputRate)),
	}
	s.idle.last = time.Now()
	s.life, s.cancel = context.WithCancel(context.Background())
	return s
}

// useCodebase counts the sandbox among what uses its codebase. One that is being
// deleted, or gone, can only be that of a sandbox that is read from disk.
func (s *Sandbox) useCodebase() {
	end, ok := s.reg.leases.begin(s.info.CodebaseID)
	if !ok {
		end = func() {}
	}
	s.leave = end
}

// Info returns the sandbox as it is now.
func (s *Sandbox) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// Policy returns the sandbox's policy, compiled.
func (s *Sandbox) Policy() (*policy.Policy, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	return s.pol, nil
}

// Plan returns which places of the sandbox can change.
func (s *Sandbox) Plan() (policy.Plan, error) {
	if err := s.prepare(); err != nil {
		return policy.Plan{}, err
	}
	return s.plan, nil
}

// stateError says that the status does not fit. s.mu is held.
func (s *Sandbox) stateError() error {
	if s.info.Status == gone {
		return ErrNotFound
	}
	return &StateError{ID: s.info.ID, Status: s.info.Status, Reason: s.info.Reason}
}

// allows returns a StateError unless the event can happen now.
func (s *Sandbox) allows(by event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.info.Status.next(by); !ok || (s.broken && by == started) {
		return s.stateError()
	}
	return nil
}

// end makes a start that is under way give up.
func (s *Sandbox) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
}

// renew undoes end, after a failed attempt to destroy.
func (s *Sandbox) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life, s.cancel = context.WithCancel(context.Background())
}

// bind returns a context that ends with ctx and with the sandbox.
func (s *Sandbox) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	life := s.life
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(life, cancel)
	return ctx, func() { stop(); cancel() }
}

// prepare opens the snapshot and plans the policy, if that is still to do.
func (s *Sandbox) prepare() error {
	s.prep.Lock()
	defer s.prep.Unlock()
	info := s.Info()
	if info.Status == gone {
		return ErrNotFound
	}
	if s.broken {
		return errors.New(info.Reason)
	}
	if s.snap == nil {
		snap, err := s.reg.cfg.Store.Snapshot(info.Snapshot)
		if err != nil {
			return fmt.Errorf("cannot open the snapshot: %w", err)
		}
		s.snap = snap
	}
	if s.pol != nil {
		return nil
	}
	pol, err := policy.Compile(info.Rules)
	if err != nil {
		return fmt.Errorf("cannot compile the policy: %w", err)
	}
	plan, err := s.reg.plans.plan(pol, s.snap)
	if err != nil {
		return &PlanError{err}
	}
	s.pol, s.plan = pol, plan
	return nil
}

// unpin lets go of the snapshots. The delta lock is held.
func (s *Sandbox) unpin() {
	s.prep.Lock()
	defer s.prep.Unlock()
	if s.snap != nil {
		s.snap.Close()
		s.snap = nil
	}
	if s.past != nil {
		s.past.Close()
		s.past = nil
	}
}

// save writes the record. A failure is logged: the sandbox is what it is, and
// only a later crash of the daemon would tell the difference.
func (s *Sandbox) save() {
	s.mu.Lock()
	rec, broken := record{Info: s.info, Committed: s.committed}, s.broken
	s.mu.Unlock()
	if broken {
		return
	}
	dir, err := s.reg.dir.OpenRoot(rec.ID)
	if err == nil {
		err = rec.write(dir)
		dir.Close()
	}
	if err != nil {
		s.reg.cfg.Log.Error("cannot save the record", "sandbox", rec.ID, "error", err)
	}
}

// lock is a mutex whose Lock can give up. It must be made by newLock.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lock) unlock() { <-l }
