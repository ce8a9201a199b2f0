package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// SandboxUID returns the unprivileged uid that runs an owner's sandboxes. It
// is chosen once, from the configured range, and no two owners share one. The
// error is ErrNoUID when the range is used up.
func (s *Store) SandboxUID(owner uint32) (uint32, error) {
	var uid uint32
	find := func(tx *bolt.Tx) bool {
		v := tx.Bucket(bucketUIDs).Get(key32(owner))
		if len(v) != 4 {
			return false
		}
		uid = binary.BigEndian.Uint32(v)
		return uid >= s.opt.UIDBase && uid-s.opt.UIDBase < s.opt.UIDCount
	}
	found := false
	if err := s.db.View(func(tx *bolt.Tx) error { found = find(tx); return nil }); err != nil || found {
		return uid, err
	}
	err := s.db.Update(func(tx *bolt.Tx) (err error) {
		if find(tx) {
			return nil
		}
		if uid, err = s.freeUID(tx); err != nil {
			return err
		}
		return errors.Join(
			tx.Bucket(bucketUIDs).Put(key32(owner), key32(uid)),
			tx.Bucket(bucketUIDOwners).Put(key32(uid), key32(owner)))
	})
	if err != nil {
		return 0, fmt.Errorf("cannot choose a sandbox uid for uid %d: %w", owner, err)
	}
	return uid, nil
}

// freeUID returns the lowest uid of the range that has no owner.
func (s *Store) freeUID(tx *bolt.Tx) (uint32, error) {
	uid := uint64(s.opt.UIDBase)
	end := uid + uint64(s.opt.UIDCount)
	c := tx.Bucket(bucketUIDOwners).Cursor()
	for k, _ := c.Seek(key32(s.opt.UIDBase)); k != nil && uid < end; k, _ = c.Next() {
		if uint64(binary.BigEndian.Uint32(k)) != uid {
			break
		}
		uid++
	}
	if uid >= end || uid > 1<<32-2 {
		return 0, fmt.Errorf("%w: range %d+%d", ErrNoUID, s.opt.UIDBase, s.opt.UIDCount)
	}
	return uint32(uid), nil
}
