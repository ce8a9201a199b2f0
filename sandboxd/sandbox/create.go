package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/disk"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// newPrefix marks a state directory that is still being made.
const newPrefix = ".new-"

// requestKey is what makes creation idempotent.
type requestKey struct {
	owner uint32
	id    string
}

// creation is a sandbox being made, for others with the same request to wait.
type creation struct {
	done chan struct{} // closed when the two below are set
	s    *Sandbox
	err  error
}

// made returns the id of the sandbox, if there is one already.
func (c *creation) made() string {
	select {
	case <-c.done:
		if c.s != nil {
			return c.s.info.ID
		}
	default:
	}
	return ""
}

func doneCreation(s *Sandbox) *creation {
	c := &creation{done: make(chan struct{}), s: s}
	close(c.done)
	return c
}

// Create makes a sandbox of the codebase's head, in status Pending. With a
// RequestID that its owner used before, it returns the sandbox made then, if
// that still exists.
//
// A [LimitError] means that the owner has too many, a [PlanError] that policy
// and snapshot do not go together, a *policy.RuleError that a rule is wrong, a
// [LossError] that this host cannot enforce what p asks for, a
// *runtime.UnavailableError that the runtime cannot be had now.
func (r *Registry) Create(ctx context.Context, p Params) (*Sandbox, error) {
	return r.once(ctx, requestKey{p.Owner, p.RequestID}, func() (*Sandbox, error) { return r.create(ctx, p) })
}

// once makes a sandbox unless one has been made for the same request.
func (r *Registry) once(ctx context.Context, key requestKey, create func() (*Sandbox, error)) (*Sandbox, error) {
	if key.id == "" {
		return create()
	}
	for {
		r.mu.Lock()
		c := r.request[key]
		if c == nil {
			c = &creation{done: make(chan struct{})}
			r.request[key] = c
			r.mu.Unlock()
			c.s, c.err = create()
			if c.err != nil {
				r.mu.Lock()
				delete(r.request, key)
				r.mu.Unlock()
			}
			close(c.done)
			return c.s, c.err
		}
		r.mu.Unlock()
		select {
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if c.err == nil {
			return c.s, nil
		}
		// The other attempt failed; this one is on its own.
	}
}

func (r *Registry) create(ctx context.Context, p Params) (_ *Sandbox, err error) {
	pol, err := policy.Compile(p.Rules)
	if err != nil {
		return nil, err
	}
	if err := r.checkLosses(p); err != nil {
		return nil, err
	}
	if err := r.available(ctx, p.Runtime); err != nil {
		return nil, err
	}
	if err := r.reserve(p.Owner); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.unreserve(p.Owner)
		}
	}()
	uid, err := r.cfg.Store.SandboxUID(p.Owner)
	if err != nil {
		return nil, fmt.Errorf("cannot find a uid for the sandbox: %w", err)
	}
	snap, err := r.cfg.Store.Head(p.CodebaseID)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			snap.Close()
		}
	}()
	plan, err := r.plans.plan(pol, snap)
	if err != nil {
		return nil, &PlanError{err}
	}
	rec := record{Info: Info{
		ID: newID(), Params: p, UID: uid, Snapshot: snap.Digest(),
		Bounded: r.bounded(p), Status: Pending, Created: time.Now().UTC().Round(0),
	}}
	s := newSandbox(r, rec)
	s.snap, s.pol, s.plan = snap, pol, plan
	if s.disk, err = r.makeDir(ctx, rec, func(*os.File) error { return nil }); err != nil {
		return nil, err
	}
	if err := r.insert(s); err != nil {
		s.closeDisk()
		return nil, err
	}
	return s, nil
}

// runtime returns the one with a name.
func (r *Registry) runtime(name string) (runtime.Runtime, error) {
	if name == "" {
		return r.cfg.Runtime, nil
	}
	if other := r.cfg.Others[name]; other != nil {
		return other, nil
	}
	return nil, &runtime.UnavailableError{Runtime: name, Err: errors.New("this daemon has none")}
}

// available returns an error if a runtime cannot be used now.
func (r *Registry) available(ctx context.Context, name string) error {
	rt, err := r.runtime(name)
	if other, ok := rt.(Other); ok {
		err = other.Available(ctx)
	}
	return err
}

// bounded reports whether the delta of a sandbox is to lie on a disk.
func (r *Registry) bounded(p Params) bool {
	return p.Limits.Disk > 0 && !slices.Contains(r.lost(p), host.LossDisk)
}

// reserve counts one more sandbox of an owner, if that may have it.
func (r *Registry) reserve(owner uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if most := r.cfg.MaxPerOwner; most > 0 && r.perUID[owner] >= most {
		return &LimitError{LimitSandboxes, most}
	}
	r.perUID[owner]++
	return nil
}

func (r *Registry) unreserve(owner uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perUID[owner]--; r.perUID[owner] == 0 {
		delete(r.perUID, owner)
	}
}

// insert makes a sandbox that has its directory known, unless the registry has
// been closed meanwhile.
func (r *Registry) insert(s *Sandbox) error {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.known[s.info.ID] = s
		s.useCodebase()
	}
	r.mu.Unlock()
	if closed {
		return errors.Join(ErrClosed, r.dir.RemoveAll(s.info.ID))
	}
	r.expiryChanged()
	return nil
}

// makeDir makes the state directory under another name first, so that one with
// an id always has a record, and what fill puts beside upper. It returns the
// disk of a bounded delta, else nil.
func (r *Registry) makeDir(ctx context.Context, rec record, fill func(place *os.File) error) (d *disk.Disk, err error) {
	temp := newPrefix + rec.ID
	if err := r.dir.Mkdir(temp, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the state directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.dir.RemoveAll(temp))
		}
	}()
	dir, err := r.dir.OpenRoot(temp)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state directory: %w", err)
	}
	defer dir.Close()
	if d, err = makePlace(ctx, dir, rec.Info, fill); err != nil {
		return nil, err
	}
	err = rec.write(dir)
	if err == nil {
		if err = r.dir.Rename(temp, rec.ID); err != nil {
			err = fmt.Errorf("cannot name the state directory: %w", err)
		}
	}
	if err != nil && d != nil {
		d.Close()
	}
	return d, err
}

// newID returns a fresh id: 128 random bits.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return "sb_" + hex.EncodeToString(b[:])
}
