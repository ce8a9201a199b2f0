package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Codebase is a named tree and its newest state.
type Codebase struct {
	ID      string // "cb_" and 32 hex digits
	Name    string
	OwnerID string      // what the client calls its owner
	Owner   uint32      // uid of the caller that made it
	Head    tree.Digest // newest snapshot
	Size    int64       // bytes of all files together
	Files   int         // regular files and symbolic links
	Created time.Time
	Updated time.Time
	// IdleTimeout is after how long without use it may be deleted; zero is never.
	// The store only remembers it.
	IdleTimeout time.Duration
}

// Creation says what codebase to make.
type Creation struct {
	Owner   uint32 // uid of the caller
	Name    string
	OwnerID string // what the client calls its owner
	// RequestID gives the same owner the same codebase again, as long as it is
	// there; empty gives a new one always.
	RequestID   string
	IdleTimeout time.Duration
}

// Filter selects codebases. The zero value selects all.
type Filter struct {
	// Owner is the uid that they belong to; nil selects everybody's.
	Owner *uint32
	// OwnerID is what the client calls their owner; empty selects all.
	OwnerID string
}

// Page asks for a part of a list.
type Page struct {
	// Size is the most that is returned: 1 to 1000, anything else is 100.
	Size int
	// Token is what the page before ended with; empty is the first page.
	Token string
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// CreateCodebase makes an empty codebase.
func (s *Store) CreateCodebase(c Creation) (Codebase, error) {
	empty, err := tree.Open(tree.NewBuilder().Build())
	if err != nil {
		return Codebase{}, fmt.Errorf("cannot create codebase: %w", err)
	}
	return s.createCodebase(c, empty)
}

// CreateCodebaseOf makes a codebase whose head is a snapshot, in one step, and
// otherwise like CreateCodebase.
func (s *Store) CreateCodebaseOf(head *Snapshot, c Creation) (Codebase, error) {
	return s.createCodebase(c, head.Tree())
}

// Requested returns the codebase that an owner made with a request id, or
// ErrNotFound.
func (s *Store) Requested(owner uint32, requestID string) (Codebase, error) {
	var id string
	if request := requestKey(owner, requestID); request != nil {
		err := s.db.View(func(tx *bolt.Tx) error {
			id = string(tx.Bucket(bucketRequests).Get(request))
			return nil
		})
		if err != nil {
			return Codebase{}, err
		}
	}
	if id == "" {
		return Codebase{}, fmt.Errorf("request %q: %w", requestID, ErrNotFound)
	}
	return s.Codebase(id)
}

func (s *Store) createCodebase(want Creation, head *tree.Tree) (Codebase, error) {
	id, err := newID()
	if err != nil {
		return Codebase{}, fmt.Errorf("cannot create codebase: %w", err)
	}
	var c Codebase
	err = s.db.Update(func(tx *bolt.Tx) error {
		request := requestKey(want.Owner, want.RequestID)
		if request != nil {
			if old := tx.Bucket(bucketRequests).Get(request); old != nil {
				r, err := getRecord(tx, string(old))
				if err != nil {
					return err
				}
				c, err = r.codebase(string(old))
				return err
			}
		}
		order, err := tx.Bucket(bucketOrder).NextSequence()
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		r := record{
			Name: want.Name, OwnerID: want.OwnerID, Owner: want.Owner,
			Created: now, Order: order, Request: request, IdleTimeout: want.IdleTimeout,
		}
		r.setHead(head)
		if request != nil {
			if err := tx.Bucket(bucketRequests).Put(request, []byte(id)); err != nil {
				return err
			}
		}
		if err := tx.Bucket(bucketOrder).Put(key64(order), []byte(id)); err != nil {
			return err
		}
		c, err = r.codebase(id)
		return errors.Join(err, putRecord(tx, id, r))
	})
	if err != nil {
		return Codebase{}, fmt.Errorf("cannot create codebase: %w", err)
	}
	return c, nil
}

func emptyTree() tree.Digest { return tree.Sum(tree.NewBuilder().Build()) }

// Codebase returns a codebase with all that was uploaded in its head. The
// error is ErrNotFound if there is none.
func (s *Store) Codebase(id string) (Codebase, error) {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	if err := s.fold(id); err != nil {
		return Codebase{}, err
	}
	return s.codebase(id)
}

func (s *Store) codebase(id string) (c Codebase, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, id)
		if err != nil {
			return err
		}
		c, err = r.codebase(id)
		return err
	})
	return c, err
}

// Owner returns the uid of the caller that made a codebase, without folding what
// was uploaded. The error is ErrNotFound if there is none.
func (s *Store) Owner(id string) (uint32, error) {
	c, err := s.codebase(id)
	return c.Owner, err
}

// KeepCodebase forgets a codebase's idle timeout. The error is ErrNotFound if
// there is none.
func (s *Store) KeepCodebase(id string) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, id)
		if err != nil || r.IdleTimeout == 0 {
			return err
		}
		r.IdleTimeout = 0
		return putRecord(tx, id, r)
	})
	if err != nil {
		return fmt.Errorf("cannot keep codebase: %w", err)
	}
	return nil
}

// IdleTimeouts returns those of all codebases that have one, by their ids.
func (s *Store) IdleTimeouts() (map[string]time.Duration, error) {
	timeouts := map[string]time.Duration{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCodebases).ForEach(func(id, _ []byte) error {
			r, err := getRecord(tx, string(id))
			if err == nil && r.IdleTimeout > 0 {
				timeouts[string(id)] = r.IdleTimeout
			}
			return err
		})
	})
	return timeouts, err
}

// Codebases returns codebases in the order of their creation, and the token of
// the next page, empty at the end. The error is ErrPageToken for a token that
// is none.
func (s *Store) Codebases(filter Filter, page Page) ([]Codebase, string, error) {
	ids, next, err := s.codebaseIDs(filter, page)
	if err != nil {
		return nil, "", err
	}
	list := make([]Codebase, 0, len(ids))
	for _, id := range ids {
		c, err := s.Codebase(id)
		if errors.Is(err, ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			// One broken codebase must not hide the others: show it as it is
			// recorded.
			if c, err = s.codebase(id); err != nil {
				return nil, "", err
			}
		}
		list = append(list, c)
	}
	return list, next, nil
}

func (s *Store) codebaseIDs(filter Filter, page Page) (ids []string, next string, err error) {
	if page.Size < 1 || page.Size > maxPage {
		page.Size = defaultPage
	}
	start, err := hex.DecodeString(page.Token)
	if err != nil || len(start) != 0 && len(start) != 8 {
		return nil, "", ErrPageToken
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketOrder).Cursor()
		for k, id := c.Seek(start); k != nil; k, id = c.Next() {
			r, err := getRecord(tx, string(id))
			if err != nil {
				return err
			}
			if filter.Owner != nil && *filter.Owner != r.Owner || filter.OwnerID != "" && filter.OwnerID != r.OwnerID {
				continue
			}
			if len(ids) == page.Size {
				next = hex.EncodeToString(k)
				return nil
			}
			ids = append(ids, string(id))
		}
		return nil
	})
	return ids, next, err
}

// DeleteCodebase forgets a codebase. Snapshots of it that are pinned stay. The
// error is ErrNotFound if there is none.
func (s *Store) DeleteCodebase(id string) error {
	return s.deleteCodebase(id, func(record) bool { return true })
}

// ExpireCodebase does what DeleteCodebase does, unless the codebase has no idle
// timeout any more: then it does nothing.
func (s *Store) ExpireCodebase(id string) error {
	return s.deleteCodebase(id, func(r record) bool { return r.IdleTimeout > 0 })
}

func (s *Store) deleteCodebase(id string, may func(record) bool) error {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	deleted := false
	err := s.db.Update(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, id)
		if err != nil || !may(r) {
			return err
		}
		deleted = true
		if r.Request != nil {
			if err := tx.Bucket(bucketRequests).Delete(r.Request); err != nil {
				return err
			}
		}
		return errors.Join(
			dropJournal(tx, id),
			tx.Bucket(bucketOrder).Delete(key64(r.Order)),
			tx.Bucket(bucketCodebases).Delete([]byte(id)))
	})
	if err != nil {
		return fmt.Errorf("cannot delete codebase: %w", err)
	}
	if deleted {
		s.forgetJournal(id)
	}
	return nil
}
