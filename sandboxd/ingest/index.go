package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// index tells which inodes the last tree of a directory was made of: one
// record for each node, in the tree's own order.
//
// A record is believed while inode, size, mtime and ctime are the same, and
// only if the file had been at rest when that ingest began: a file that
// changes under the time stamp that it already has would go unnoticed.
type index struct {
	snapshot *store.Snapshot
	tree     *tree.Tree
	started  int64
	records  []byte
}

const (
	indexMagic  = "AFINDEX\x01"
	indexHeader = 8 + 8 + 32 // magic, start of the ingest, digest of the tree
	recordSize  = 24         // device, inode, ctime; all zero: none
)

// indexKey names the index of a caller, directory and options.
func indexKey(req Request, root fileID) [32]byte {
	h := sha256.New()
	number := func(numbers ...uint64) {
		for _, n := range numbers {
			h.Write(binary.LittleEndian.AppendUint64(nil, n))
		}
	}
	h.Write([]byte(indexMagic))
	number(uint64(req.Caller.UID), uint64(req.Caller.GID), uint64(len(req.Caller.Groups)))
	groups := slices.Clone(req.Caller.Groups)
	slices.Sort(groups)
	for _, g := range groups {
		number(uint64(g))
	}
	number(root.dev, root.ino)
	if req.Policy != nil {
		d := req.Policy.Digest()
		h.Write(d[:])
	}
	for _, p := range req.Ignore {
		number(uint64(len(p)))
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}

// openIndex returns nil if there is no index, or its tree is gone.
func openIndex(s *store.Store, key [32]byte) (*index, error) {
	data, err := s.ReadCache(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	end := len(data) - sha256.Size
	if end < indexHeader || !bytes.HasPrefix(data, []byte(indexMagic)) {
		return nil, nil
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, nil
	}
	x := &index{
		started: int64(binary.LittleEndian.Uint64(data[8:])),
		records: data[indexHeader:end],
	}
	x.snapshot, err = s.Snapshot(tree.Digest(data[16:indexHeader]))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	x.tree = x.snapshot.Tree()
	if len(x.records) != x.tree.Len()*recordSize {
		x.close()
		return nil, nil
	}
	return x, nil
}

func (x *index) close() {
	if x != nil {
		x.snapshot.Close()
	}
}

// has reports whether the content of a file or link is that of its node in the
// last tree.
func (x *index) has(it *item) bool {
	e := x.tree.Entry(it.old)
	r := x.records[int(it.old)*recordSize:][:recordSize]
	id := fileID{binary.LittleEndian.Uint64(r), binary.LittleEndian.Uint64(r[8:])}
	ctime := int64(binary.LittleEndian.Uint64(r[16:]))
	return id == it.id && ctime == it.ctime &&
		e.Kind == it.entry.Kind && e.Size == it.entry.Size && e.MTime == it.entry.MTime &&
		x.settled(it.ctime) && x.settled(it.entry.MTime)
}

// settled reports whether a change at that time was over when the last ingest
// began. Stamps without a fraction may come from a file system that has only
// seconds.
func (x *index) settled(stamp int64) bool {
	margin := 5 * tick
	if stamp%int64(time.Second) == 0 {
		margin = 2 * time.Second
	}
	return stamp < x.started-int64(margin)
}

// saveIndex writes the index of a tree that this walk has found.
func (w *walk) saveIndex(s *store.Store, key [32]byte, a *assembly, t *tree.Tree) error {
	if w.last != nil && w.last.tree == t && w.reads.Load() == 0 {
		err := s.TouchCache(key)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	data := make([]byte, indexHeader+t.Len()*recordSize, indexHeader+t.Len()*recordSize+sha256.Size)
	copy(data, indexMagic)
	binary.LittleEndian.PutUint64(data[8:], uint64(w.started.UnixNano()))
	d := t.Digest()
	copy(data[16:], d[:])
	for _, dir := range a.dirs {
		at, ok := t.Lookup(dir.path)
		if !ok {
			continue
		}
		for i := range dir.items {
			it := &dir.items[i]
			if it.dir != nil || !it.kept() {
				continue
			}
			n, ok := t.Child(at, it.entry.Name)
			if !ok {
				continue
			}
			r := data[indexHeader+int(n)*recordSize:]
			binary.LittleEndian.PutUint64(r, it.id.dev)
			binary.LittleEndian.PutUint64(r[8:], it.id.ino)
			binary.LittleEndian.PutUint64(r[16:], uint64(it.ctime))
		}
	}
	sum := sha256.Sum256(data)
	return s.WriteCache(key, append(data, sum[:]...))
}
