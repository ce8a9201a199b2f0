package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/agentfense/agentfense/delta"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const (
	// maxTries is how often a commit is tried while others move the head, or
	// the sandbox changes what is being read.
	maxTries = 20
	// patientTries is how many of these wait for files to rest. The others
	// leave out those that do not.
	patientTries = 3
)

// CommitResult is what a commit did.
type CommitResult struct {
	// Head is the codebase's head after the commit.
	Head tree.Digest
	// Applied are the changes that it made. Refused are those that it did not
	// make, for the policy, or because they cannot be part of a codebase.
	Applied, Refused []Change
}

// Commit applies the sandbox's permitted changes at the given paths, and below
// them, to the codebase as one new snapshot; no paths means all. What the
// sandbox committed before is not applied again.
//
// It returns a [ConflictError], having changed nothing, if somebody else has
// changed one of these paths in the codebase since the sandbox began or last
// committed, and ErrCodebase if the codebase is gone. Changes that policy keeps
// back are returned as refused, and are no error.
func (s *Sandbox) Commit(ctx context.Context, paths []string) (CommitResult, error) {
	return s.commit(ctx, paths, delta.Strict)
}

// Settle commits after a command, if the sandbox's mode is OnExec; the last
// writer wins. A codebase that is gone is no error: there is nothing to keep
// up to date.
func (s *Sandbox) Settle(ctx context.Context) error {
	if s.Info().Mode != OnExec {
		return nil
	}
	_, err := s.commit(ctx, nil, delta.LastWriterWins)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCodebase) {
		return nil
	}
	return err
}

func (s *Sandbox) commit(ctx context.Context, paths []string, mode delta.MergeMode) (res CommitResult, err error) {
	err = s.withDelta(ctx, func(upper *os.File) error {
		for try := 0; ; try++ {
			c := commit{sandbox: s, upper: upper, paths: paths, mode: mode, hurry: try >= patientTries}
			res, err = c.run()
			if !errors.Is(err, store.ErrHeadMoved) && !errors.Is(err, delta.ErrChanged) || try == maxTries {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	})
	return res, err
}

// commit is one attempt.
type commit struct {
	sandbox *Sandbox
	upper   *os.File
	paths   []string
	mode    delta.MergeMode
	hurry   bool // leave out files that do not rest

	head    *store.Snapshot
	batch   *store.Batch
	refused []Change
}

func (c *commit) run() (CommitResult, error) {
	s := c.sandbox
	all, err := s.differ.Diff(c.upper)
	if err != nil {
		return CommitResult{}, err
	}
	if c.mode == delta.LastWriterWins && slices.Equal(all, s.settled) {
		return CommitResult{}, nil
	}
	changes, err := c.since(all)
	if err != nil {
		return CommitResult{}, err
	}
	c.head, err = s.reg.cfg.Store.Head(s.info.CodebaseID)
	if errors.Is(err, store.ErrNotFound) {
		return CommitResult{}, ErrCodebase
	}
	if err != nil {
		return CommitResult{}, err
	}
	defer c.head.Close()
	res := CommitResult{Head: c.head.Digest()}
	if len(changes) > 0 {
		if res.Head, res.Applied, err = c.apply(changes); err != nil {
			return CommitResult{}, err
		}
	}
	if !c.hurry && len(c.paths) == 0 {
		s.settled = all
	}
	slices.SortFunc(c.refused, byPath)
	res.Refused = c.refused
	return res, nil
}

// since returns what has changed since the sandbox last committed, at the
// paths of the commit. The rest of all it adds to refused.
func (c *commit) since(all []Change) ([]Change, error) {
	s := c.sandbox
	base := s.snap.Tree()
	builder, _, refused, err := delta.Merge(base, base, all, delta.LastWriterWins)
	if err != nil {
		return nil, err
	}
	ours, err := tree.Open(builder.Build())
	if err != nil {
		return nil, fmt.Errorf("cannot build the sandbox's tree: %w", err)
	}
	c.refused = within(refused, c.paths)
	changes := within(diffTrees(s.past.Tree(), ours), c.paths)
	for i := range changes {
		changes[i].Verdict = s.pol.Decide(changes[i].Path)
	}
	return changes, nil
}

// apply makes the changes to the head. Either all of them count as committed,
// or none.
func (c *commit) apply(changes []Change) (head tree.Digest, applied []Change, err error) {
	s := c.sandbox
	if c.batch, err = s.reg.cfg.Store.Batch(); err != nil {
		return head, nil, err
	}
	defer func() { err = errors.Join(err, c.batch.Abort()) }()
	for _, held := range []*store.Snapshot{s.snap, s.past, c.head} {
		c.batch.Trust(held)
	}
	if changes, err = c.store(changes); err != nil {
		return head, nil, err
	}
	merged, applied, refused, err := delta.Merge(s.past.Tree(), c.head.Tree(), changes, c.mode)
	if err != nil {
		return head, nil, err
	}
	past, _, _, err := delta.Merge(s.past.Tree(), s.past.Tree(), applied, delta.LastWriterWins)
	if err != nil {
		return head, nil, err
	}
	next, err := c.batch.PutTree(merged)
	if err != nil {
		return head, nil, err
	}
	defer next.Close()
	committed, err := c.batch.PutTree(past)
	if err != nil {
		return head, nil, err
	}
	err = c.batch.Commit()
	if err == nil {
		err = s.reg.cfg.Store.SetHead(s.info.CodebaseID, c.head.Digest(), next.Digest())
	}
	if err != nil {
		committed.Close()
		return head, nil, err
	}
	s.setPast(committed)
	c.refused = append(c.refused, refused...)
	return next.Digest(), applied, nil
}

// store puts the content of changed files into the batch, and returns the
// changes without the files that do not rest.
func (c *commit) store(changes []Change) ([]Change, error) {
	rested := changes[:0:0]
	for _, change := range changes {
		var err error
		if !c.sandbox.putBack(change) {
			err = delta.Store(c.upper, []Change{change}, c.batch)
		}
		switch {
		case c.hurry && errors.Is(err, delta.ErrChanged):
			change.Refused = true
			c.refused = append(c.refused, change)
		case err != nil:
			return nil, err
		default:
			rested = append(rested, change)
		}
	}
	return rested, nil
}

// putBack reports whether a change undoes what was committed before, with the
// content of the snapshot.
func (s *Sandbox) putBack(c Change) bool {
	n, ok := s.snap.Tree().Lookup(c.Path)
	return ok && s.snap.Tree().Entry(n).Digest == c.Entry.Digest
}

// setPast notes what is committed. The delta lock is held.
func (s *Sandbox) setPast(committed *store.Snapshot) {
	s.past.Close()
	s.past = committed
	s.mu.Lock()
	s.committed = committed.Digest().String()
	s.mu.Unlock()
	s.save()
}

// Diff returns what the sandbox changed, in the order of paths. A sandbox that
// runs may change more meanwhile.
func (s *Sandbox) Diff(ctx context.Context) (changes []Change, err error) {
	err = s.withDelta(ctx, func(upper *os.File) error {
		changes, err = s.differ.Diff(upper)
		return err
	})
	return changes, err
}

// withDelta calls f alone with the sandbox's upper directory, and what is
// needed to compare it. A policy under which nothing can change has no delta.
func (s *Sandbox) withDelta(ctx context.Context, f func(upper *os.File) error) error {
	if err := s.delta.lock(ctx); err != nil {
		return err
	}
	defer s.delta.unlock()
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.openPast(); err != nil {
		return err
	}
	upper, err := s.openUpper(ctx)
	if err != nil {
		return err
	}
	defer upper.Close()
	return f(upper)
}

// openPast makes differ and past ready. The delta lock is held.
func (s *Sandbox) openPast() error {
	if s.differ == nil {
		s.differ = delta.NewDiffer(s.snap.Tree(), s.pol, s.plan)
	}
	if s.past != nil {
		return nil
	}
	s.mu.Lock()
	committed := s.committed
	s.mu.Unlock()
	if committed == "" {
		s.past = s.snap.Clone()
		return nil
	}
	d, err := tree.ParseDigest(committed)
	if err != nil {
		return fmt.Errorf("cannot open what was committed: %w", err)
	}
	if s.past, err = s.reg.cfg.Store.Snapshot(d); err != nil {
		return fmt.Errorf("cannot open what was committed: %w", err)
	}
	return nil
}
