package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// CollectResult says what a collection removed.
type CollectResult struct {
	Trees, Objects int
	Bytes          int64 // of objects
	KeptObjects    int
}

// Collect removes trees that nothing refers to and that were neither made nor
// opened within olderThan, and then the objects that no tree refers to.
// Batches, snapshots and uploads go on meanwhile; what they use stays.
//
// Pins do not outlive the process: whoever needs a snapshot across a restart
// opens it again before the first Collect.
func (s *Store) Collect(ctx context.Context, olderThan time.Duration) (CollectResult, error) {
	s.collect.Lock()
	defer s.collect.Unlock()
	s.keep.begin()
	defer s.keep.end()
	var result CollectResult
	if err := s.collectAll(ctx, time.Now().Add(-olderThan), &result); err != nil {
		return result, fmt.Errorf("cannot collect: %w", err)
	}
	return result, nil
}

func (s *Store) collectAll(ctx context.Context, before time.Time, result *CollectResult) error {
	if err := s.collectTrees(ctx, before, result); err != nil {
		return err
	}
	// From here on a tree is removed by nobody, and a new one consists of what
	// an old one or a batch holds.
	live := map[tree.Digest]struct{}{}
	if err := s.markJournals(live); err != nil {
		return err
	}
	if err := s.markTrees(ctx, live); err != nil {
		return err
	}
	if err := s.sweep(ctx, live, result); err != nil {
		return err
	}
	return s.collectCache(before)
}

// heads returns the heads of all codebases, and their owners for messages.
func (s *Store) heads() (map[tree.Digest]string, error) {
	heads := map[tree.Digest]string{emptyTree(): ""}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCodebases).ForEach(func(id, _ []byte) error {
			r, err := getRecord(tx, string(id))
			if err != nil {
				return err
			}
			c, err := r.codebase(string(id))
			heads[c.Head] = c.ID
			return err
		})
	})
	return heads, err
}

func (s *Store) collectTrees(ctx context.Context, before time.Time, result *CollectResult) error {
	heads, err := s.heads()
	if err != nil {
		return err
	}
	return s.trees.names(func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := tree.ParseDigest(name)
		if err != nil {
			return nil // Fsck reports it
		}
		if _, ok := heads[d]; ok {
			return nil
		}
		removed, err := s.keep.remove(&s.keep.trees, d, func() error {
			st, err := s.trees.stat(name)
			if err != nil {
				return err
			}
			if mtime(&st).After(before) {
				return errKept
			}
			return s.trees.unlink(name)
		})
		if errors.Is(err, errKept) {
			return nil
		}
		if removed && err == nil {
			result.Trees++
		}
		return err
	})
}

var errKept = errors.New("kept")

func (s *Store) markJournals(live map[tree.Digest]struct{}) error {
	return s.journalEntries(func(_ string, _ string, e tree.Entry) error {
		live[e.Digest] = struct{}{}
		return nil
	})
}

// journalEntries calls yield with everything that is in a journal.
func (s *Store) journalEntries(yield func(id, path string, e tree.Entry) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketJournals).ForEachBucket(func(id []byte) error {
			return tx.Bucket(bucketJournals).Bucket(id).ForEach(func(path, value []byte) error {
				e, err := readJournalEntry(value)
				if err != nil {
					return fmt.Errorf("%w: upload of %q: %w", ErrCorrupt, path, err)
				}
				return yield(string(id), string(path), e)
			})
		})
	})
}

// markTrees adds what every tree names. A tree that cannot be read stops the
// collection: what it needs is not known.
func (s *Store) markTrees(ctx context.Context, live map[tree.Digest]struct{}) error {
	return s.trees.names(func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := tree.ParseDigest(name)
		if err != nil {
			return nil
		}
		t, f, err := s.readTree(d)
		if err != nil {
			return fmt.Errorf("cannot read tree %s, run fsck: %w", name, err)
		}
		for n := range tree.Node(t.Len()) {
			if t.Kind(n) == tree.File {
				live[t.Entry(n).Digest] = struct{}{}
			}
		}
		return f.Close()
	})
}

func (s *Store) sweep(ctx context.Context, live map[tree.Digest]struct{}, result *CollectResult) error {
	return s.eachObject(func(_ *dir, name string, d tree.Digest, valid bool) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok := live[d]; ok || !valid {
			result.KeptObjects++
			return nil
		}
		var size int64
		removed, err := s.keep.remove(&s.keep.objects, d, func() error {
			size, _ = s.objectSize(d)
			return s.objects.unlink(name)
		})
		if removed && err == nil {
			result.Objects++
			result.Bytes += size
		} else {
			result.KeptObjects++
		}
		return err
	})
}

// eachObject calls yield with the path of every file below objects, and its
// digest if that is what the path says.
func (s *Store) eachObject(yield func(prefix *dir, path string, d tree.Digest, valid bool) error) error {
	for i := range objectPrefixes {
		prefix := fmt.Sprintf("%02x", i)
		sub, err := s.objects.openDir(prefix)
		if err != nil {
			return err
		}
		err = sub.names(func(name string) error {
			d, err := tree.ParseDigest(prefix + name)
			return yield(sub, prefix+"/"+name, d, err == nil)
		})
		if err = errors.Join(err, sub.file.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) collectCache(before time.Time) error {
	return s.cache.names(func(name string) error {
		st, err := s.cache.stat(name)
		if err == nil && mtime(&st).Before(before) {
			err = s.cache.unlink(name)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}
