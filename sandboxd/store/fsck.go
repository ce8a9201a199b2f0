package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Problem kinds. Those that Fsck repairs are moved to lost, or removed if
// they are temporary.
const (
	CorruptObject ProblemKind = "corrupt object" // content does not match its name; repaired
	CorruptTree   ProblemKind = "corrupt tree"   // likewise; repaired
	StrayFile     ProblemKind = "stray file"     // no name that the store gives; repaired
	StrayTemp     ProblemKind = "stray temp"     // no batch writes it; repaired
	MissingObject ProblemKind = "missing object" // a tree or an upload names it
	MissingTree   ProblemKind = "missing tree"   // a head names it
)

// ProblemKind is what is wrong.
type ProblemKind string

// Problem is one thing that is wrong with a store.
type Problem struct {
	Kind     ProblemKind
	Name     string // of the file below the store's directory
	Detail   string // who needs it, or what it is instead
	Repaired bool
}

// Report is what Fsck found.
type Report struct {
	Trees, Objects    int
	Bytes             int64
	Unreferenced      int // objects that the next Collect may remove
	UnreferencedBytes int64
	Problems          []Problem
}

// Clean reports whether nothing is wrong. Unreferenced objects are not wrong.
func (r Report) Clean() bool { return len(r.Problems) == 0 }

// Fsck reads everything and verifies that each object and tree is what its
// name says, that what trees, heads and uploads name is there, and that
// nothing else lies about. With repair, what is bad is moved to lost, so that
// the same content can be stored again; what is missing then has to come from
// where it came from first.
//
// The store can be used meanwhile.
func (s *Store) Fsck(ctx context.Context, repair bool) (Report, error) {
	s.collect.Lock()
	defer s.collect.Unlock()
	f := &fsck{s: s, ctx: ctx, repair: repair, needed: map[tree.Digest]string{}, bad: map[tree.Digest]bool{}}
	for _, step := range []func() error{f.checkTemps, f.checkTrees, f.checkHeads, f.checkJournals, f.checkObjects, f.checkNeeded} {
		if err := step(); err != nil {
			return f.report, fmt.Errorf("cannot check store: %w", err)
		}
	}
	if repair && !f.report.Clean() {
		if err := s.cache.removeAll(); err != nil {
			return f.report, fmt.Errorf("cannot empty cache: %w", err)
		}
	}
	return f.report, nil
}

type fsck struct {
	s      *Store
	ctx    context.Context
	repair bool
	report Report
	needed map[tree.Digest]string // objects, and who needs them
	bad    map[tree.Digest]bool   // objects
}

func (f *fsck) problem(kind ProblemKind, name, detail string, repaired bool) {
	f.report.Problems = append(f.report.Problems, Problem{kind, name, detail, repaired})
}

// aside moves a bad file to lost.
func (f *fsck) aside(kind ProblemKind, in *dir, where, name, detail string) error {
	repaired := false
	if f.repair {
		lost := fmt.Sprintf("%s-%d", strings.ReplaceAll(where+"/"+name, "/", "-"), f.s.batches.Add(1))
		if err := in.rename(name, f.s.lost, lost); err != nil {
			return err
		}
		repaired = true
	}
	f.problem(kind, where+"/"+name, detail, repaired)
	return nil
}

func (f *fsck) checkTemps() error {
	return f.s.tmp.names(func(name string) error {
		prefix, _, _ := strings.Cut(name, "-")
		f.s.openMu.Lock()
		_, open := f.s.openBatches[prefix+"-"]
		f.s.openMu.Unlock()
		if open {
			return nil
		}
		if _, err := f.s.tmp.stat(name); err != nil {
			return nil // its batch ended meanwhile
		}
		repaired := false
		if f.repair {
			if err := f.s.tmp.unlink(name); err != nil {
				return err
			}
			repaired = true
		}
		f.problem(StrayTemp, "tmp/"+name, "", repaired)
		return nil
	})
}

func (f *fsck) checkTrees() error {
	return f.s.trees.names(func(name string) error {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		d, err := tree.ParseDigest(name)
		if err != nil {
			return f.aside(StrayFile, f.s.trees, "trees", name, err.Error())
		}
		t, file, err := f.s.readTree(d)
		if errors.Is(err, ErrCorrupt) {
			return f.aside(CorruptTree, f.s.trees, "trees", name, err.Error())
		}
		if err != nil {
			return err
		}
		f.report.Trees++
		for n := range tree.Node(t.Len()) {
			if t.Kind(n) == tree.File {
				e := t.Entry(n)
				f.need(e, func() string { return fmt.Sprintf("tree %s, %q", name, t.Path(n)) })
			}
		}
		return file.Close()
	})
}

// need notes that an object must be there; a wrong size is as good as absent.
func (f *fsck) need(e tree.Entry, who func() string) {
	if _, ok := f.needed[e.Digest]; ok {
		return
	}
	f.needed[e.Digest] = who()
	if size, ok := f.s.objectSize(e.Digest); ok && size != e.Size {
		f.problem(CorruptObject, "objects/"+ObjectPath(e.Digest),
			fmt.Sprintf("%d bytes, %s says %d", size, f.needed[e.Digest], e.Size), false)
	}
}

func (f *fsck) checkHeads() error {
	heads, err := f.s.heads()
	if err != nil {
		return err
	}
	for d, id := range heads {
		if _, err := f.s.trees.stat(d.String()); os.IsNotExist(err) {
			f.problem(MissingTree, "trees/"+d.String(), "head of codebase "+id, false)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (f *fsck) checkJournals() error {
	return f.s.journalEntries(func(id, path string, e tree.Entry) error {
		f.need(e, func() string { return fmt.Sprintf("upload to %s, %q", id, path) })
		return nil
	})
}

func (f *fsck) checkObjects() error {
	return f.s.eachObject(func(in *dir, path string, d tree.Digest, valid bool) error {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		prefix, name, _ := strings.Cut(path, "/")
		if !valid {
			return f.aside(StrayFile, in, "objects/"+prefix, name, "")
		}
		size, err := f.checkObject(path, d)
		if errors.Is(err, ErrCorrupt) {
			f.bad[d] = true
			return f.asideObject(in, prefix, name, d, err.Error())
		}
		if err != nil {
			return err
		}
		f.report.Objects++
		f.report.Bytes += size
		if _, ok := f.needed[d]; !ok {
			f.report.Unreferenced++
			f.report.UnreferencedBytes += size
		}
		return nil
	})
}

// asideObject leaves an object that a batch holds where it is: the batch takes
// it for present.
func (f *fsck) asideObject(in *dir, prefix, name string, d tree.Digest, detail string) error {
	done, err := f.s.keep.remove(&f.s.keep.objects, d, func() error {
		f.s.repairs.Add(1)
		return f.aside(CorruptObject, in, "objects/"+prefix, name, detail)
	})
	if !done && err == nil {
		f.problem(CorruptObject, "objects/"+prefix+"/"+name, detail+"; in use", false)
	}
	return err
}

func (f *fsck) checkObject(path string, d tree.Digest) (int64, error) {
	st, err := f.s.objects.stat(path)
	if err != nil {
		return 0, err
	}
	if !isRegular(&st) {
		return 0, fmt.Errorf("%w: not a regular file", ErrCorrupt)
	}
	file, err := f.s.objects.open(path, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, &contextReader{f.ctx, file})
	if err != nil {
		return 0, err
	}
	if got := tree.Digest(hash.Sum(nil)); got != d {
		return 0, fmt.Errorf("%w: content has digest %v", ErrCorrupt, got)
	}
	return n, nil
}

func (f *fsck) checkNeeded() error {
	for d, who := range f.needed {
		if _, ok := f.s.objectSize(d); !ok && !f.bad[d] {
			f.problem(MissingObject, "objects/"+ObjectPath(d), who, false)
		} else if f.bad[d] {
			f.problem(MissingObject, "objects/"+ObjectPath(d), who+", is corrupt", false)
		}
	}
	return nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
