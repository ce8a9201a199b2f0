package sandbox

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/agentfense/agentfense/delta"
)

const (
	// forkTries is how often a delta is copied that changes meanwhile. The last
	// copy is taken as it is.
	forkTries = 3
	// forkPatience is how long a copy may have taken for another try.
	forkPatience = 2 * time.Second
	// forkRequest tells the request ids of forks from those of Create; clients
	// cannot give a control character.
	forkRequest = "\x00fork "
)

// ForkParams says in what a fork differs from its source.
type ForkParams struct {
	Owner  uint32
	Labels map[string]string
	// RequestID makes the fork idempotent for its owner; empty: it is not.
	RequestID string
}

// Fork makes a sandbox like another, in status Pending: with its snapshot,
// policy, limits and expiry, a copy of its delta, and the memory of what it
// committed. The source may run. If it does not rest long enough for a copy of
// one moment, each file is as it was at some moment of the last try.
//
// A [LimitError] means that the owner has too many sandboxes.
func (r *Registry) Fork(ctx context.Context, source *Sandbox, p ForkParams) (*Sandbox, error) {
	key := requestKey{owner: p.Owner}
	if p.RequestID != "" {
		key.id = forkRequest + p.RequestID
	}
	return r.once(ctx, key, func() (*Sandbox, error) { return r.fork(ctx, source, p.Owner, p.Labels, key.id) })
}

func (r *Registry) fork(ctx context.Context, source *Sandbox, owner uint32, labels map[string]string, request string) (_ *Sandbox, err error) {
	if err := r.reserve(owner); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.unreserve(owner)
		}
	}()
	uid, err := r.cfg.Store.SandboxUID(owner)
	if err != nil {
		return nil, fmt.Errorf("cannot find a uid for the sandbox: %w", err)
	}
	params := source.Info().Params
	params.Owner, params.Labels, params.RequestID = owner, labels, request
	var s *Sandbox
	err = source.withDelta(ctx, func(upper *os.File) error {
		rec := record{Info: Info{
			ID: newID(), Params: params, UID: uid, Snapshot: source.snap.Digest(),
			Bounded: r.bounded(params), Status: Pending, Created: time.Now().UTC().Round(0),
		}, Committed: source.committedTree()}
		d, err := r.makeDir(ctx, rec, func(place *os.File) error { return copyDelta(ctx, upper, place, uid) })
		if err != nil {
			return err
		}
		s = newSandbox(r, rec)
		s.disk = d
		s.snap, s.pol, s.plan = source.snap.Clone(), source.pol, source.plan
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.insert(s); err != nil {
		s.snap.Close()
		s.closeDisk()
		return nil, err
	}
	return s, nil
}

// committedTree is the digest of what the sandbox has committed, or "".
func (s *Sandbox) committedTree() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed
}

// copyDelta fills the upper directory of a new sandbox.
func copyDelta(ctx context.Context, from, place *os.File, uid uint32) error {
	for try := 1; ; try++ {
		to, err := openIn(place, upperName)
		if err != nil {
			return err
		}
		began := time.Now()
		rested, err := delta.Copy(ctx, from, to, uid)
		if err == nil && !rested && try < forkTries && time.Since(began) < forkPatience {
			err = empty(ctx, to)
		} else {
			rested = true
		}
		to.Close()
		if err != nil || rested {
			return err
		}
	}
}
