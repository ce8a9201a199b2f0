package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

var (
	// ErrStep means that the steps of an upload came in a wrong order.
	ErrStep = errors.New("upload step out of order")
	// ErrContent means that content is not what its digest or size says.
	ErrContent = errors.New("content does not match what was announced")
)

// UploadRequest says whose tree comes and what of it counts.
type UploadRequest struct {
	// Owner is the uid of the client.
	Owner uint32
	// Policy says what is hidden; nil hides nothing.
	Policy *policy.Policy
	// Ignore holds patterns in the syntax of an IgnoreFile.
	Ignore []string
	// Known are snapshots whose content the client may have anyway, such as
	// the heads of its codebases. They stay open until Close.
	Known []*store.Snapshot
}

// Upload receives a tree from a client that sends no content that is known
// already. Its methods are called in this order: Add, Wanted, AddDigests,
// Missing, Receive, Finish, and Close at any time. It is not safe for
// concurrent use.
//
// Content counts as known only if it is in a tree that the same owner
// uploaded before, or in one of the Known: a digest alone neither opens
// somebody else's content nor tells whether it exists.
type Upload struct {
	store *store.Store
	req   UploadRequest
	step  step

	manifest *manifest
	choice   choice // by what came with the manifest
	wanted   []tree.Node
	digests  []tree.Digest // of wanted
	byNode   map[tree.Node]tree.Digest
	missing  []tree.Node
	texts    map[tree.Digest][]byte // IgnoreFiles that were received

	batch    *store.Batch
	known    map[tree.Digest]int64
	recent   []*store.Snapshot
	received int64
}

type step uint8

const (
	stepManifest step = iota
	stepDigests
	stepContents
	stepFinish
	stepClosed
)

// Upload begins an upload. It must be closed.
func (in *Ingester) Upload(req UploadRequest) (*Upload, error) {
	if _, err := newIgnores(req.Ignore); err != nil {
		return nil, fmt.Errorf("cannot upload: %w", err)
	}
	return &Upload{store: in.store, req: req, manifest: newManifest(), texts: map[tree.Digest][]byte{}}, nil
}

func (u *Upload) at(want step) error {
	if u.step != want {
		return fmt.Errorf("cannot upload: %w", ErrStep)
	}
	return nil
}

// Add adds entries to the manifest. The error is ErrInvalid for a path that
// cannot be, comes twice or lies below a file, and for sizes out of bounds.
func (u *Upload) Add(entries ...Entry) error {
	if err := u.at(stepManifest); err != nil {
		return err
	}
	for _, e := range entries {
		if err := u.manifest.add(e); err != nil {
			return fmt.Errorf("cannot take manifest: %w", err)
		}
	}
	return nil
}

// Wanted ends the manifest and returns the positions of the files whose
// digests are wanted. What the policy hides or a pattern ignores is not among
// them; what an IgnoreFile ignores whose content did not come with it may be, as
// may that file itself, and is left out later. A directory that cannot be read
// and would be in is a permission error.
func (u *Upload) Wanted(ctx context.Context) ([]uint32, error) {
	if err := u.at(stepManifest); err != nil {
		return nil, err
	}
	if err := u.manifest.close(); err != nil {
		return nil, fmt.Errorf("cannot take manifest: %w", err)
	}
	c, err := u.choose(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot take manifest: %w", err)
	}
	u.choice = c
	for n := range tree.Node(u.manifest.tree.Len()) {
		if (c.in[n] || c.open[n]) && u.manifest.tree.Kind(n) == tree.File {
			u.wanted = append(u.wanted, n)
		}
	}
	slices.SortFunc(u.wanted, func(a, b tree.Node) int { return int(u.manifest.pos[a] - u.manifest.pos[b]) })
	u.step = stepDigests
	return u.positions(u.wanted), nil
}

func (u *Upload) positions(nodes []tree.Node) []uint32 {
	list := make([]uint32, len(nodes))
	for i, n := range nodes {
		list[i] = uint32(u.manifest.pos[n])
	}
	return list
}

// AddDigests takes the SHA-256 of the wanted files in the order of Wanted.
func (u *Upload) AddDigests(list ...[]byte) error {
	if err := u.at(stepDigests); err != nil {
		return err
	}
	if len(u.digests)+len(list) > len(u.wanted) {
		return fmt.Errorf("cannot take digests: %w: more than files are wanted", ErrInvalid)
	}
	for _, d := range list {
		if len(d) != sha256.Size {
			return fmt.Errorf("cannot take digests: %w: %d bytes are no SHA-256", ErrInvalid, len(d))
		}
		u.digests = append(u.digests, tree.Digest(d))
	}
	return nil
}

// Missing ends the digests and returns the positions of the files whose
// content has to be sent. Of files with the same content only one is.
func (u *Upload) Missing() ([]uint32, error) {
	if err := u.at(stepDigests); err != nil {
		return nil, err
	}
	if len(u.digests) != len(u.wanted) {
		return nil, fmt.Errorf("cannot take digests: %w: %d, want %d", ErrInvalid, len(u.digests), len(u.wanted))
	}
	var err error
	if u.batch, err = u.store.Batch(); err != nil {
		return nil, fmt.Errorf("cannot upload: %w", err)
	}
	u.learn()
	asked := map[tree.Digest]int64{}
	u.byNode = make(map[tree.Node]tree.Digest, len(u.wanted))
	for i, n := range u.wanted {
		d, size := u.digests[i], u.manifest.tree.Entry(n).Size
		u.byNode[n] = d
		if before, ok := asked[d]; ok {
			if before != size {
				return nil, fmt.Errorf("cannot take digests: %w: %v has %d and %d bytes", ErrInvalid, d, before, size)
			}
			continue
		}
		asked[d] = size
		if held, ok := u.known[d]; !ok || held != size || !u.batch.Hold(d, size) {
			u.missing = append(u.missing, n)
		}
	}
	u.step = stepContents
	return u.positions(u.missing), nil
}

// learn collects the content that need not be sent.
func (u *Upload) learn() {
	for _, d := range readRecent(u.store, u.req.Owner) {
		if snapshot, err := u.store.Snapshot(d); err == nil {
			u.recent = append(u.recent, snapshot)
		}
	}
	u.known = map[tree.Digest]int64{}
	for _, snapshot := range slices.Concat(u.req.Known, u.recent) {
		t := snapshot.Tree()
		for n := range tree.Node(t.Len()) {
			if t.Kind(n) == tree.File {
				e := t.Entry(n)
				u.known[e.Digest] = e.Size
			}
		}
	}
}

// Receive takes the missing contents in the order of Missing. next returns
// some bytes of the current file, and whether they were its last. The error is
// ErrContent for content that has another size or digest than announced, or
// what next returned.
func (u *Upload) Receive(ctx context.Context, next func() (data []byte, last bool, err error)) error {
	if err := u.at(stepContents); err != nil {
		return err
	}
	for _, n := range u.missing {
		if err := u.receive(ctx, n, next); err != nil {
			return &PathError{"receive", u.manifest.path(n), err}
		}
	}
	u.step = stepFinish
	return nil
}

func (u *Upload) receive(ctx context.Context, n tree.Node, next func() ([]byte, bool, error)) error {
	e := u.manifest.tree.Entry(n)
	in := &chunks{ctx: ctx, next: next, left: e.Size}
	var r io.Reader = in
	var text bytes.Buffer
	if e.Name == IgnoreFile {
		r = io.TeeReader(in, &text)
	}
	d, size, err := u.batch.Put(r)
	if err != nil {
		return err
	}
	if want := u.byNode[n]; d != want || size != e.Size {
		return fmt.Errorf("%w: %d bytes with digest %v, want %d with %v", ErrContent, size, d, e.Size, want)
	}
	if e.Name == IgnoreFile {
		u.texts[d] = text.Bytes()
	}
	u.received++
	return nil
}

// chunks reads one file from messages. More bytes than announced are an error
// at once.
type chunks struct {
	ctx  context.Context
	next func() ([]byte, bool, error)
	data []byte
	last bool
	left int64
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.data) == 0 {
		if c.last {
			return 0, io.EOF
		}
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		var err error
		if c.data, c.last, err = c.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if c.left -= int64(len(c.data)); c.left < 0 {
			return 0, fmt.Errorf("%w: more bytes than announced", ErrContent)
		}
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// Finish makes the snapshot.
func (u *Upload) Finish(ctx context.Context) (Result, error) {
	if err := u.at(stepFinish); err != nil {
		return Result{}, err
	}
	result, err := u.finish(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("cannot finish upload: %w", err)
	}
	return result, nil
}

func (u *Upload) finish(ctx context.Context) (Result, error) {
	c := u.choice
	if len(c.open) > 0 {
		var err error
		if c, err = u.choose(ctx, u.patterns); err != nil {
			return Result{}, err
		}
	}
	builder := tree.NewBuilder()
	for n := tree.Node(1); n < tree.Node(u.manifest.tree.Len()); n++ {
		if !c.in[n] {
			continue
		}
		e := u.manifest.tree.Entry(n)
		e.Digest = u.byNode[n]
		if err := builder.Add(u.manifest.tree.Path(n), e); err != nil {
			return Result{}, err
		}
	}
	snapshot, err := u.batch.PutTree(builder)
	if err != nil {
		return Result{}, err
	}
	result := Result{Snapshot: snapshot, NewBytes: u.batch.Written(), FilesRead: u.received, Skipped: c.skipped}
	result.count()
	if err := u.batch.Commit(); err != nil {
		return Result{}, errors.Join(err, snapshot.Close())
	}
	if err := u.remember(snapshot.Digest()); err != nil {
		return Result{}, errors.Join(err, snapshot.Close())
	}
	u.step = stepClosed
	return result, nil
}

func (u *Upload) choose(ctx context.Context, patterns func(tree.Node) ([]byte, error)) (choice, error) {
	root, err := newIgnores(u.req.Ignore)
	if err != nil {
		return choice{}, err
	}
	return u.manifest.choose(ctx, u.req.Policy, root, patterns)
}

// patterns returns the content of an IgnoreFile of the upload.
func (u *Upload) patterns(n tree.Node) ([]byte, error) {
	d := u.byNode[n]
	if text, ok := u.texts[d]; ok {
		return text, nil
	}
	f, err := u.store.OpenObject(d)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: no content for %v", ErrContent, d)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxIgnoreFile))
}

// Close ends the upload. Without Finish nothing of it is left.
func (u *Upload) Close() error {
	u.step = stepClosed
	var errs []error
	if u.batch != nil {
		errs = append(errs, u.batch.Abort())
	}
	for _, snapshot := range u.recent {
		errs = append(errs, snapshot.Close())
	}
	u.recent = nil
	return errors.Join(errs...)
}
