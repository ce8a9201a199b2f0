package store

import (
	"errors"
	"fmt"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// fewFiles is up to how many files are synced one by one. That spares a small
// batch the wait for other people's data on the same file system.
const fewFiles = 8

// Commit moves everything into the store and returns when it is on disk:
// first the content, then the trees. On an error the trees are not in the
// store, and the batch is over as well.
func (b *Batch) Commit() error {
	err := b.commit()
	b.Abort()
	if err != nil {
		return fmt.Errorf("cannot commit to the store: %w", err)
	}
	return nil
}

// commit leaves everything held until Abort.
func (b *Batch) commit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.failed != nil {
		return b.failed
	}
	if err := b.syncTemps(); err != nil {
		return err
	}
	if err := b.moveObjects(); err != nil {
		return err
	}
	for len(b.trees) > 0 {
		t := b.trees[0]
		if err := b.s.tmp.rename(t.name, b.s.trees, t.digest.String()); err != nil {
			return err
		}
		b.trees = b.trees[1:]
		if len(b.trees) == 0 {
			return b.s.trees.file.Sync()
		}
	}
	return nil
}

func (b *Batch) syncTemps() error {
	if len(b.temps)+len(b.trees) > fewFiles {
		return b.s.tmp.syncAll()
	}
	for _, list := range [][]temp{b.temps, b.trees} {
		for _, t := range list {
			if err := b.s.tmp.syncFile(t.name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Batch) moveObjects() error {
	moved := b.temps
	for len(b.temps) > 0 {
		t := b.temps[0]
		if err := b.s.tmp.rename(t.name, b.s.objects, ObjectPath(t.digest)); err != nil {
			return err
		}
		b.temps = b.temps[1:]
	}
	if len(moved) > fewFiles {
		return b.s.objects.syncAll()
	}
	for _, t := range moved {
		if err := b.s.objects.syncFile(ObjectPath(t.digest)[:2]); err != nil {
			return err
		}
	}
	return nil
}

// Abort ends the batch and forgets what was not committed.
func (b *Batch) Abort() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	for _, list := range [][]temp{b.temps, b.trees} {
		for _, t := range list {
			errs = append(errs, b.s.tmp.unlink(t.name))
		}
	}
	b.s.keep.releaseObjects(b.known)
	for _, d := range b.held {
		b.s.keep.release(&b.s.keep.trees, d)
	}
	b.known, b.temps, b.trees, b.held, b.trusted = map[tree.Digest]int64{}, nil, nil, nil, nil
	b.s.openMu.Lock()
	defer b.s.openMu.Unlock()
	delete(b.s.openBatches, b.name)
	return errors.Join(errs...)
}
