package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Snapshot is a tree that is pinned: neither it nor what it names is collected
// until Close. Snapshots of one digest share their memory.
//
// The tree lies in the Go heap, not in a mapping: strings from it stay valid
// however long they are kept. Processes that want a mapping map File.
type Snapshot struct {
	s      *Store
	pinned *pinned
	once   sync.Once
}

// pinned is what all snapshots of one digest share.
type pinned struct {
	digest tree.Digest
	users  int // guarded by snapshotsMu

	load sync.Once
	tree *tree.Tree
	file *os.File
	err  error
}

// Snapshot opens and pins a tree, which makes it young again. The error is
// ErrNotFound, or ErrCorrupt if its bytes do not match its digest.
func (s *Store) Snapshot(d tree.Digest) (*Snapshot, error) {
	s.keep.hold(&s.keep.trees, d)
	s.snapshotsMu.Lock()
	p := s.snapshots[d]
	if p == nil {
		p = &pinned{digest: d}
		s.snapshots[d] = p
	}
	p.users++
	s.snapshotsMu.Unlock()

	p.load.Do(func() { p.tree, p.file, p.err = s.readTree(d) })
	snapshot := &Snapshot{s: s, pinned: p}
	err := p.err
	if err != nil {
		s.forget(p)
	} else {
		// A tree that only an open batch has is not in its place.
		err = s.trees.touch(d.String())
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = ErrNotFound
		}
		snapshot.Close()
		return nil, fmt.Errorf("cannot open snapshot %v: %w", d, err)
	}
	return snapshot, nil
}

// forget makes the next Snapshot look again.
func (s *Store) forget(p *pinned) {
	s.snapshotsMu.Lock()
	defer s.snapshotsMu.Unlock()
	if s.snapshots[p.digest] == p {
		delete(s.snapshots, p.digest)
	}
}

// pin makes a snapshot of a tree that is not in its place yet.
func (s *Store) pin(d tree.Digest, t *tree.Tree, file *os.File) *Snapshot {
	s.keep.hold(&s.keep.trees, d)
	p := &pinned{digest: d, users: 1, tree: t, file: file}
	p.load.Do(func() {})
	s.snapshotsMu.Lock()
	defer s.snapshotsMu.Unlock()
	if s.snapshots[d] == nil {
		s.snapshots[d] = p
	}
	return &Snapshot{s: s, pinned: p}
}

func (s *Store) readTree(d tree.Digest) (_ *tree.Tree, _ *os.File, err error) {
	f, err := s.trees.open(d.String(), os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, info.Size()), data); err != nil {
		return nil, nil, err
	}
	t, err := tree.Open(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if t.Digest() != d {
		return nil, nil, fmt.Errorf("%w: content has digest %v", ErrCorrupt, t.Digest())
	}
	return t, f, nil
}

// Tree returns the tree. It can be used after Close, but then what it names
// may be gone.
func (n *Snapshot) Tree() *tree.Tree { return n.pinned.tree }

// File returns the file that holds the encoded tree, open for reading. It is
// shared, so it must be read with offsets only, and it is closed by Close.
func (n *Snapshot) File() *os.File { return n.pinned.file }

// Digest returns the name of the snapshot.
func (n *Snapshot) Digest() tree.Digest { return n.pinned.digest }

// Clone pins the same tree once more.
func (n *Snapshot) Clone() *Snapshot {
	s := n.s
	s.keep.hold(&s.keep.trees, n.pinned.digest)
	s.snapshotsMu.Lock()
	defer s.snapshotsMu.Unlock()
	n.pinned.users++
	return &Snapshot{s: s, pinned: n.pinned}
}

// Close unpins. Calls after the first do nothing.
func (n *Snapshot) Close() error {
	var err error
	n.once.Do(func() {
		s, p := n.s, n.pinned
		s.snapshotsMu.Lock()
		p.users--
		last := p.users == 0
		if last && s.snapshots[p.digest] == p {
			delete(s.snapshots, p.digest)
		}
		s.snapshotsMu.Unlock()
		if last && p.file != nil {
			err = p.file.Close()
		}
		s.keep.release(&s.keep.trees, p.digest)
	})
	return err
}
