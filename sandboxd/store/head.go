package store

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Head returns the newest snapshot of a codebase, with all files that were
// uploaded before the call. The error is ErrNotFound if there is no such
// codebase.
func (s *Store) Head(id string) (*Snapshot, error) {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	if err := s.fold(id); err != nil {
		return nil, err
	}
	return s.head(id)
}

// head opens the recorded head; the stripe is locked.
func (s *Store) head(id string) (*Snapshot, error) {
	c, err := s.codebase(id)
	if err != nil {
		return nil, err
	}
	snapshot, err := s.Snapshot(c.Head)
	if err != nil {
		return nil, fmt.Errorf("cannot open head of codebase %s: %w", id, err)
	}
	return snapshot, nil
}

// SetHead makes another snapshot the head, if the head is still from; a zero
// from stands for any. Files uploaded since from was read count as a move: the
// error is ErrHeadMoved, and nothing has changed. With a zero from they are
// replaced like everything else.
func (s *Store) SetHead(id string, from, to tree.Digest) error {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	snapshot, err := s.Snapshot(to)
	if err != nil {
		return fmt.Errorf("cannot set head: %w", err)
	}
	defer snapshot.Close()
	if !from.IsZero() {
		if err := s.fold(id); err != nil {
			return fmt.Errorf("cannot set head: %w", err)
		}
	}
	if err := s.setHead(id, from, snapshot.Tree()); err != nil {
		return fmt.Errorf("cannot set head: %w", err)
	}
	s.forgetJournal(id)
	return nil
}

// setHead moves the head and empties the journal in one transaction; the
// stripe is locked.
func (s *Store) setHead(id string, from tree.Digest, to *tree.Tree) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, id)
		if err != nil {
			return err
		}
		if !from.IsZero() && r.Head != from.String() {
			return fmt.Errorf("codebase %s: %w", id, ErrHeadMoved)
		}
		r.setHead(to)
		if err := putRecord(tx, id, r); err != nil {
			return err
		}
		return dropJournal(tx, id)
	})
}
