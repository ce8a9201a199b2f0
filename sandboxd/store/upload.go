package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// maxJournal is how many files a codebase's journal takes before it is folded
// into a snapshot. It bounds memory and the time of the next Head.
const maxJournal = 1024

// Uploaded is what PutFile stored.
type Uploaded struct {
	Path   string // as CleanPath has it
	Mode   uint32
	Size   int64
	Digest tree.Digest
}

// journal is what was uploaded to one codebase since its head was made: the
// same entries as in meta.db, and what is needed to check the next one.
type journal struct {
	head  *tree.Tree
	files map[string]tree.Entry
	dirs  map[string]struct{} // parents of files
}

type journalEntry struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Mode   uint32 `json:"mode"`
	MTime  int64  `json:"mtime"`
}

// PutFile stores one file of a codebase. It is on disk when the call returns,
// and part of the next Head. Mode 0 keeps the mode of an existing file and is
// 0644 for a new one. A file or link of that path is replaced.
//
// The error is a *PathError for a path that is invalid, is a directory's, or
// leads through a file; ErrNotFound if there is no such codebase; what r
// returned; or tree.ErrEntry for a mode with more than permission bits.
func (s *Store) PutFile(id, path string, mode uint32, r io.Reader) (Uploaded, error) {
	up, err := s.putFile(id, path, mode, r)
	if err != nil {
		return Uploaded{}, fmt.Errorf("cannot put file: %w", err)
	}
	return up, nil
}

func (s *Store) putFile(id, path string, mode uint32, r io.Reader) (Uploaded, error) {
	clean, err := CleanPath(path)
	if err != nil {
		return Uploaded{}, err
	}
	if clean == "" || strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") {
		return Uploaded{}, &PathError{Path: path, Reason: "names a directory", Err: ErrInvalidPath}
	}
	if mode&^0o777 != 0 {
		return Uploaded{}, fmt.Errorf("%w: mode %#o", tree.ErrEntry, mode)
	}
	// Once before the content comes and once, for good, after.
	if err := s.withJournal(id, func(j *journal) error { return j.check(clean) }); err != nil {
		return Uploaded{}, err
	}
	b, err := s.Batch()
	if err != nil {
		return Uploaded{}, err
	}
	defer b.Abort()
	d, size, err := b.Put(r)
	if err != nil {
		return Uploaded{}, err
	}
	if err := b.commit(); err != nil {
		return Uploaded{}, err
	}
	up := Uploaded{Path: clean, Mode: mode, Size: size, Digest: d}
	err = s.withJournal(id, func(j *journal) error { return s.addToJournal(id, j, &up) })
	return up, err
}

// withJournal calls fn with the journal of a codebase, alone with it.
func (s *Store) withJournal(id string, fn func(*journal) error) error {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	j, err := s.openJournal(id)
	if err != nil {
		return err
	}
	err = fn(j)
	if len(j.files) == 0 {
		s.forgetJournal(id)
	}
	return err
}

func (s *Store) addToJournal(id string, j *journal, up *Uploaded) error {
	if err := j.check(up.Path); err != nil {
		return err
	}
	if up.Mode == 0 {
		up.Mode = j.mode(up.Path)
	}
	e := tree.Entry{Kind: tree.File, Mode: up.Mode, Size: up.Size, MTime: time.Now().UnixNano(), Digest: up.Digest}
	value, err := json.Marshal(journalEntry{Digest: e.Digest.String(), Size: e.Size, Mode: e.Mode, MTime: e.MTime})
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		if _, err := getRecord(tx, id); err != nil {
			return err
		}
		bucket, err := tx.Bucket(bucketJournals).CreateBucketIfNotExists([]byte(id))
		if err != nil {
			return err
		}
		return bucket.Put([]byte(up.Path), value)
	})
	if err != nil {
		return err
	}
	j.add(up.Path, e)
	if len(j.files) >= maxJournal {
		return s.fold(id)
	}
	return nil
}

// openJournal returns the journal of a codebase; its stripe is locked.
func (s *Store) openJournal(id string) (*journal, error) {
	s.journalsMu.Lock()
	j := s.journals[id]
	s.journalsMu.Unlock()
	if j != nil {
		return j, nil
	}
	head, err := s.head(id)
	if err != nil {
		return nil, err
	}
	defer head.Close()
	j = &journal{head: head.Tree(), files: map[string]tree.Entry{}, dirs: map[string]struct{}{}}
	err = s.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketJournals).Bucket([]byte(id))
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(path, value []byte) error {
			e, err := readJournalEntry(value)
			if err != nil {
				return fmt.Errorf("%w: upload of %q: %w", ErrCorrupt, path, err)
			}
			j.add(string(path), e)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	s.journalsMu.Lock()
	defer s.journalsMu.Unlock()
	s.journals[id] = j
	return j, nil
}

func readJournalEntry(value []byte) (tree.Entry, error) {
	var e journalEntry
	if err := json.Unmarshal(value, &e); err != nil {
		return tree.Entry{}, err
	}
	d, err := tree.ParseDigest(e.Digest)
	return tree.Entry{Kind: tree.File, Mode: e.Mode, Size: e.Size, MTime: e.MTime, Digest: d}, err
}

func (s *Store) forgetJournal(id string) {
	s.journalsMu.Lock()
	defer s.journalsMu.Unlock()
	delete(s.journals, id)
}

func dropJournal(tx *bolt.Tx, id string) error {
	err := tx.Bucket(bucketJournals).DeleteBucket([]byte(id))
	if errors.Is(err, bolterrors.ErrBucketNotFound) {
		return nil
	}
	return err
}

func (s *Store) hasJournal(id string) (has bool, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		has = tx.Bucket(bucketJournals).Bucket([]byte(id)) != nil
		return nil
	})
	return has, err
}

// fold makes what was uploaded the head; the stripe is locked.
func (s *Store) fold(id string) error {
	if has, err := s.hasJournal(id); err != nil || !has {
		return err
	}
	if err := s.foldJournal(id); err != nil {
		return fmt.Errorf("cannot add uploads to codebase %s: %w", id, err)
	}
	s.forgetJournal(id)
	return nil
}

func (s *Store) foldJournal(id string) error {
	j, err := s.openJournal(id)
	if err != nil {
		return err
	}
	head, err := s.head(id)
	if err != nil {
		return err
	}
	defer head.Close()
	b, err := s.Batch()
	if err != nil {
		return err
	}
	defer b.Abort()
	b.Trust(head)
	builder := tree.From(head.Tree())
	for path, e := range j.files {
		if err := builder.Add(path, e); err != nil {
			return err
		}
	}
	next, err := b.PutTree(builder)
	if err != nil {
		return err
	}
	defer next.Close()
	if err := b.Commit(); err != nil {
		return err
	}
	return s.setHead(id, head.Digest(), next.Tree())
}

func (j *journal) add(path string, e tree.Entry) {
	j.files[path] = e
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		j.dirs[path[:i]] = struct{}{}
	}
}

// check says why there can be no file at a path.
func (j *journal) check(path string) error {
	for i := 0; i < len(path); i++ {
		if path[i] == '/' && j.kind(path[:i]) != 0 && j.kind(path[:i]) != tree.Dir {
			return &PathError{Path: path, Reason: fmt.Sprintf("%q is not a directory", path[:i]), Err: ErrNotDirectory}
		}
	}
	if j.kind(path) == tree.Dir {
		return &PathError{Path: path, Reason: "is a directory", Err: ErrIsDirectory}
	}
	return nil
}

// kind returns what is at a path, zero for nothing.
func (j *journal) kind(path string) tree.Kind {
	if _, ok := j.files[path]; ok {
		return tree.File
	}
	if _, ok := j.dirs[path]; ok {
		return tree.Dir
	}
	if n, ok := j.head.Lookup(path); ok {
		return j.head.Kind(n)
	}
	return 0
}

func (j *journal) mode(path string) uint32 {
	if e, ok := j.files[path]; ok {
		return e.Mode
	}
	if n, ok := j.head.Lookup(path); ok && j.head.Kind(n) == tree.File {
		return j.head.Entry(n).Mode
	}
	return 0o644
}
