package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Batch adds objects and trees to the store: all of them at Commit, or none.
// What it was given or found held is not collected before it ends. Its methods
// are safe for concurrent use, Commit and Abort excepted.
//
// Every batch must end with Commit or Abort; Abort after Commit does nothing,
// so it can be deferred.
type Batch struct {
	s       *Store
	name    string // prefix of its temporary files
	repairs uint64 // when the batch began

	mu      sync.Mutex
	known   map[tree.Digest]int64 // held objects and their sizes
	trusted []trusted
	temps   []temp
	trees   []temp
	held    []tree.Digest // trees
	counter int
	written int64
	failed  error
	closed  bool
}

type temp struct {
	name   string
	digest tree.Digest
}

// trusted is a snapshot whose objects need no look.
type trusted struct {
	snapshot *Snapshot
	sizes    map[tree.Digest]int64 // nil until needed
}

// MissingObjectError means that a tree names content that the store lacks, or
// has in another size.
type MissingObjectError struct {
	Path   string
	Digest tree.Digest
}

func (e *MissingObjectError) Error() string {
	return fmt.Sprintf("content %v of %q is not in the store", e.Digest, e.Path)
}

// Is makes errors.Is(err, ErrNotFound) hold.
func (e *MissingObjectError) Is(target error) bool { return target == ErrNotFound }

// Batch begins a batch.
func (s *Store) Batch() (*Batch, error) {
	b := &Batch{
		s: s, name: fmt.Sprintf("b%x-", s.batches.Add(1)), repairs: s.repairs.Load(),
		known: map[tree.Digest]int64{},
	}
	s.openMu.Lock()
	defer s.openMu.Unlock()
	s.openBatches[b.name] = struct{}{}
	return b, nil
}

// Put adds the content of r and returns its digest and size. Content that the
// store holds already is read, but not written.
func (b *Batch) Put(r io.Reader) (tree.Digest, int64, error) {
	return b.PutChecked(r, nil)
}

const (
	smallSize = 64 << 10
	copySize  = 256 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallSize]byte) }}
	copyBuffers  = sync.Pool{New: func() any { return new([copySize]byte) }}
)

// PutChecked is like Put, but when all is read it asks check, with the size,
// whether to keep the content; an error from check is returned as it is, and
// then the content is forgotten.
func (b *Batch) PutChecked(r io.Reader, check func(size int64) error) (tree.Digest, int64, error) {
	buf := smallBuffers.Get().(*[smallSize]byte)
	defer smallBuffers.Put(buf)
	n, ended, err := fill(buf[:], r)
	if err != nil {
		return tree.Digest{}, 0, err
	}
	if !ended {
		return b.putLarge(buf[:], r, check)
	}
	if check != nil {
		if err := check(int64(n)); err != nil {
			return tree.Digest{}, 0, err
		}
	}
	d := tree.Sum(buf[:n])
	if fresh, err := b.claim(d, int64(n)); !fresh || err != nil {
		return d, int64(n), err
	}
	name, f, err := b.createTemp(objectMode)
	if err != nil {
		return tree.Digest{}, 0, b.fail(err)
	}
	_, err = f.Write(buf[:n])
	if err = errors.Join(err, f.Close()); err != nil {
		return tree.Digest{}, 0, b.fail(errors.Join(err, b.s.tmp.unlink(name)))
	}
	b.keepObject(name, d, int64(n))
	return d, int64(n), nil
}

// fill reads until buf is full or r has ended. Unlike io.ReadFull it takes an
// io.ErrUnexpectedEOF from r for what it is, content cut short.
func fill(buf []byte, r io.Reader) (n int, ended bool, err error) {
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

func (b *Batch) putLarge(start []byte, r io.Reader, check func(int64) error) (_ tree.Digest, _ int64, err error) {
	name, f, err := b.createTemp(objectMode)
	if err != nil {
		return tree.Digest{}, 0, err
	}
	kept := false
	defer func() {
		err = errors.Join(err, f.Close())
		if !kept {
			err = errors.Join(err, b.s.tmp.unlink(name))
		}
	}()
	hash := sha256.New()
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	w := io.MultiWriter(hash, f)
	if _, err := w.Write(start); err != nil {
		return tree.Digest{}, 0, err
	}
	n, err := io.CopyBuffer(w, onlyReader{r}, buf[:])
	if err != nil {
		return tree.Digest{}, 0, err
	}
	n += int64(len(start))
	if check != nil {
		if err := check(n); err != nil {
			return tree.Digest{}, 0, err
		}
	}
	d := tree.Digest(hash.Sum(nil))
	if fresh, err := b.claim(d, n); !fresh || err != nil {
		return d, n, err
	}
	kept = true
	b.keepObject(name, d, n)
	return d, n, nil
}

// onlyReader hides WriteTo, which would bypass the buffer.
type onlyReader struct{ io.Reader }

// claim holds an object and reports whether the caller has to write it.
func (b *Batch) claim(d tree.Digest, size int64) (fresh bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, ErrClosed
	}
	if _, ok := b.known[d]; ok {
		return false, nil
	}
	b.s.keep.hold(&b.s.keep.objects, d)
	b.known[d] = size
	held, ok := b.s.objectSize(d)
	return !ok || held != size, nil
}

// Hold reports whether the store has an object of this size, and if so keeps
// it until the batch ends.
func (b *Batch) Hold(d tree.Digest, size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.closed && b.hold(d, size)
}

func (b *Batch) hold(d tree.Digest, size int64) bool {
	if known, ok := b.known[d]; ok {
		return known == size
	}
	b.s.keep.hold(&b.s.keep.objects, d)
	if held, ok := b.s.objectSize(d); !ok || held != size {
		b.s.keep.release(&b.s.keep.objects, d)
		return false
	}
	b.known[d] = size
	return true
}

// Trust makes the objects of a snapshot count as held, without a look at each
// unless Fsck has moved objects aside since the batch began. The snapshot must
// stay open until the batch ends.
func (b *Batch) Trust(snapshot *Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trusted = append(b.trusted, trusted{snapshot: snapshot})
}

func (b *Batch) isTrusted(d tree.Digest, size int64) bool {
	if b.repairs != b.s.repairs.Load() {
		return false
	}
	for i := range b.trusted {
		t := &b.trusted[i]
		if t.sizes == nil {
			t.sizes = fileSizes(t.snapshot.Tree())
		}
		if held, ok := t.sizes[d]; ok && held == size {
			return true
		}
	}
	return false
}

func fileSizes(t *tree.Tree) map[tree.Digest]int64 {
	sizes := make(map[tree.Digest]int64, t.Files())
	for n := range tree.Node(t.Len()) {
		if t.Kind(n) == tree.File {
			e := t.Entry(n)
			sizes[e.Digest] = e.Size
		}
	}
	return sizes
}

// PutTree adds a tree. All content that it names must be in the batch or in
// the store; if not, the error is a *MissingObjectError. The snapshot is
// pinned and can be read at once, but is in the store only after Commit.
func (b *Batch) PutTree(builder *tree.Builder) (*Snapshot, error) {
	data := builder.Build()
	t, err := tree.Open(data)
	if err != nil {
		return nil, fmt.Errorf("cannot put tree: %w", err)
	}
	if err := b.checkObjects(t); err != nil {
		return nil, fmt.Errorf("cannot put tree: %w", err)
	}
	snapshot, err := b.putTree(t)
	if err != nil {
		return nil, fmt.Errorf("cannot put tree: %w", b.fail(err))
	}
	return snapshot, nil
}

func (b *Batch) checkObjects(t *tree.Tree) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	for n := range tree.Node(t.Len()) {
		if t.Kind(n) != tree.File {
			continue
		}
		e := t.Entry(n)
		if !b.isTrusted(e.Digest, e.Size) && !b.hold(e.Digest, e.Size) {
			return &MissingObjectError{Path: t.Path(n), Digest: e.Digest}
		}
	}
	return nil
}

func (b *Batch) putTree(t *tree.Tree) (*Snapshot, error) {
	d := t.Digest()
	b.s.keep.hold(&b.s.keep.trees, d)
	b.mu.Lock()
	b.held = append(b.held, d)
	b.mu.Unlock()
	snapshot, err := b.s.Snapshot(d)
	if err == nil || !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return snapshot, err
	}
	name, f, err := b.createTemp(treeMode)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(t.Data())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, b.s.tmp.unlink(name))
	}
	b.mu.Lock()
	b.trees = append(b.trees, temp{name, d})
	b.mu.Unlock()
	file, err := b.s.tmp.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return b.s.pin(d, t, file), nil
}

func (b *Batch) createTemp(mode uint32) (string, *os.File, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return "", nil, ErrClosed
	}
	b.counter++
	name := fmt.Sprintf("%s%x", b.name, b.counter)
	b.mu.Unlock()
	f, err := b.s.tmp.create(name, mode)
	return name, f, err
}

func (b *Batch) keepObject(name string, d tree.Digest, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.temps = append(b.temps, temp{name, d})
	b.written += size
}

// Written returns how many bytes of content were new to the store so far.
func (b *Batch) Written() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.written
}

// fail makes Commit fail too: the batch claims content that it could not
// write.
func (b *Batch) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = errors.Join(b.failed, err)
	return err
}
