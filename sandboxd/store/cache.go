package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// ReadCache returns what WriteCache stored under a key, or ErrNotFound. After
// a crash it may return damaged data: whoever writes it adds a checksum.
func (s *Store) ReadCache(key tree.Digest) ([]byte, error) {
	f, err := s.cache.open(key.String(), os.O_RDONLY)
	if err != nil {
		if os.IsNotExist(err) {
			err = ErrNotFound
		}
		return nil, fmt.Errorf("cannot read cache: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read cache: %w", err)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("cannot read cache: %w", err)
	}
	return data, nil
}

// WriteCache stores data under a key in place of what was there. It may vanish
// at any time: Collect removes what was not written for long, and an Fsck that
// repairs removes everything.
func (s *Store) WriteCache(key tree.Digest, data []byte) error {
	name := fmt.Sprintf("c%x-", s.batches.Add(1))
	f, err := s.cacheTemp(name)
	if err != nil {
		return fmt.Errorf("cannot write cache: %w", err)
	}
	defer s.closeTemp(name)
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.tmp.rename(name, s.cache, key.String())
	}
	if err != nil {
		return fmt.Errorf("cannot write cache: %w", errors.Join(err, s.tmp.unlink(name)))
	}
	return nil
}

// TouchCache makes what is under a key young again.
func (s *Store) TouchCache(key tree.Digest) error { return s.cache.touch(key.String()) }

func (s *Store) cacheTemp(name string) (*os.File, error) {
	s.openMu.Lock()
	s.openBatches[name] = struct{}{}
	s.openMu.Unlock()
	f, err := s.tmp.create(name, treeMode)
	if err != nil {
		s.closeTemp(name)
	}
	return f, err
}

func (s *Store) closeTemp(name string) {
	s.openMu.Lock()
	defer s.openMu.Unlock()
	delete(s.openBatches, name)
}
