package sandbox

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Start brings the sandbox up, with the delta that it had before. A
// [StateError] means that it runs already, a [StartError] that it could not
// start and is in status Error; it may be tried again.
func (s *Sandbox) Start(ctx context.Context) error {
	if err := s.turn.lock(ctx); err != nil {
		return err
	}
	defer s.turn.unlock()
	if s.reg.isClosed() {
		return ErrClosed
	}
	if err := s.allows(started); err != nil {
		return err
	}
	bound, cancel := s.bind(ctx)
	defer cancel()
	run, err := s.launchInTurn(bound)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // the caller left: nothing is wrong with the sandbox
		}
		if bound.Err() != nil {
			return ErrNotFound // destroyed meanwhile
		}
		s.move(failed, err.Error(), nil)
		return &StartError{ID: s.Info().ID, Err: err}
	}
	s.move(started, "", run)
	s.reg.tasks.Go(func() { s.watch(run) })
	return nil
}

// launchInTurn waits for other starts of the owner, if there are many.
func (s *Sandbox) launchInTurn(ctx context.Context) (*running, error) {
	leave, err := s.reg.starts.enter(ctx, s.Info().Owner)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.launch(ctx)
}

// launch makes the directories, the view and the instance, or nothing.
func (s *Sandbox) launch(ctx context.Context) (_ *running, err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	info := s.Info()
	if err := s.reg.checkLosses(info.Params); err != nil {
		return nil, err // it was made on a host that could
	}
	if err := s.makeUpper(ctx, info); err != nil {
		return nil, err
	}
	v, err := s.reg.cfg.Views.Acquire(ctx, info.Snapshot, s.pol, info.UID)
	if err != nil {
		return nil, fmt.Errorf("cannot mount the view: %w", err)
	}
	defer func() {
		if err != nil {
			v.Release()
		}
	}()
	run := &running{view: v, ended: make(chan struct{})}
	spec := s.spec(info, v)
	spec.Born = func(pid int) { run.recording = s.record(pid) }
	if info.Bounded {
		if spec.Disk, err = s.openPlace(ctx); err != nil {
			return nil, err
		}
		defer spec.Disk.Close()
	}
	rt, err := s.reg.runtime(info.Runtime)
	if err != nil {
		return nil, err
	}
	if run.inst, err = rt.Start(ctx, spec); err != nil {
		run.stopRecording()
		return nil, err
	}
	run.life, run.over = context.WithCancelCause(context.Background())
	return run, nil
}

// makeUpper makes what the plan wants to exist.
func (s *Sandbox) makeUpper(ctx context.Context, info Info) error {
	if len(s.plan.Created) == 0 {
		return nil
	}
	upper, err := s.openUpper(ctx)
	if err != nil {
		return err
	}
	defer upper.Close()
	return makeCreated(upper, s.plan.Created, s.snap.Tree(), info.UID)
}

func (s *Sandbox) spec(info Info, v View) runtime.Spec {
	return runtime.Spec{
		ID:     info.ID,
		UID:    info.UID,
		Image:  info.Image,
		Dir:    filepath.Join(s.reg.cfg.Dir, sandboxesName, info.ID),
		View:   v.Path(),
		Plan:   s.plan,
		Limits: info.Limits,
		Groups: info.groups(s.pol),
		Lost:   s.reg.lost(info.Params),
	}
}

// groups are the seccomp groups of a sandbox. Whoever may rewrite the whole
// codebase debugs it as well; that reaches no further than the sandbox.
func (i Info) groups(pol *policy.Policy) []string {
	all := append([]string{"core"}, i.Groups...)
	if pol.Root().Creates().Level == policy.Write {
		all = append(all, "debug")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// move makes the transition that allows has checked, and saves the record.
// turn is held.
func (s *Sandbox) move(by event, reason string, run *running) {
	now := time.Now().UTC()
	s.mu.Lock()
	to, ok := s.info.Status.next(by)
	if !ok {
		s.mu.Unlock()
		s.reg.cfg.Log.Error("impossible transition", "sandbox", s.info.ID, "status", s.info.Status, "event", by)
		return
	}
	from := s.info.Status
	s.info.Status, s.info.Reason, s.run = to, reason, run
	switch to {
	case Running:
		s.info.Started, s.info.Stopped = now, time.Time{}
	case Stopped:
		s.info.Stopped = now
	}
	s.mu.Unlock()
	s.reg.cfg.Log.Info("sandbox is "+to.String(), "sandbox", s.info.ID, "owner", s.info.Owner, "was", from, "reason", reason)
	if to != gone {
		s.save()
	}
}
