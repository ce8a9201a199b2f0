package sandbox

import (
	"context"
	"errors"
	"os"

	"github.com/agentfense/agentfense/delta"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// Snapshot puts into the store what the sandbox began with and its permitted
// changes, and returns that, pinned. The sandbox and its codebase stay as they
// are. A file that does not rest is taken as it was at some moment.
func (s *Sandbox) Snapshot(ctx context.Context) (snap *store.Snapshot, err error) {
	err = s.withDelta(ctx, func(upper *os.File) error {
		for try := 0; ; try++ {
			snap, err = s.snapshot(upper, try >= patientTries)
			if !errors.Is(err, delta.ErrChanged) || try == maxTries {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	})
	return snap, err
}

func (s *Sandbox) snapshot(upper *os.File, hurry bool) (_ *store.Snapshot, err error) {
	changes, err := s.differ.Diff(upper)
	if err != nil {
		return nil, err
	}
	batch, err := s.reg.cfg.Store.Batch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, batch.Abort()) }()
	batch.Trust(s.snap)
	if hurry {
		err = delta.StoreAsIs(upper, changes, batch)
	} else {
		err = delta.Store(upper, changes, batch)
	}
	if err != nil {
		return nil, err
	}
	builder, _, _, err := delta.Merge(s.snap.Tree(), s.snap.Tree(), changes, delta.LastWriterWins)
	if err != nil {
		return nil, err
	}
	next, err := batch.PutTree(builder)
	if err != nil {
		return nil, err
	}
	if err := batch.Commit(); err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}
