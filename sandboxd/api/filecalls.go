package api

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// targetOf finds the sandbox of a call about one path, which must be given.
func (s *Server) targetOf(ctx context.Context, id string, raw []byte, op string) (target, error) {
	if len(raw) == 0 {
		return target{}, missing("path")
	}
	clean, err := cleanPath(string(raw))
	if err != nil {
		return target{}, err
	}
	return s.target(ctx, id, clean, op)
}

// notRoot refuses the root to calls that would move or remove it.
func (t target) notRoot() error {
	if t.path == "." {
		return badPath("/", "the root cannot be %sd", t.op).with(keyOperation, t.op)
	}
	return nil
}

func wireStat(clean string, e runtime.FileInfo) *sandboxv1.FileInfo {
	if clean == "." {
		clean = ""
	}
	return wireFile(clean, e.Mode, e.Mode&unix.S_IFMT == unix.S_IFDIR, e.Size, e.ModTime, e.Target)
}

// StatFile describes one entry as the sandbox sees it; of a link, the link.
func (s *Server) StatFile(ctx context.Context, req *sandboxv1.StatFileRequest) (*sandboxv1.FileInfo, error) {
	t, err := s.targetOf(ctx, req.GetSandboxId(), req.GetPath(), "stat")
	if err != nil {
		return nil, err
	}
	return t.stat(ctx)
}

func (t target) stat(ctx context.Context) (*sandboxv1.FileInfo, error) {
	e, err := t.run.Stat(ctx, t.path)
	if err != nil {
		return nil, t.fail(err)
	}
	return wireStat(t.path, e), nil
}

// MakeDirectory makes a directory with those above it.
func (s *Server) MakeDirectory(ctx context.Context, req *sandboxv1.MakeDirectoryRequest) (*sandboxv1.FileInfo, error) {
	t, err := s.targetOf(ctx, req.GetSandboxId(), req.GetPath(), opCreate)
	if err != nil {
		return nil, err
	}
	err = t.makeDirs(ctx, t.path)
	if errors.Is(err, unix.ENOTDIR) {
		if _, serr := t.run.Stat(ctx, t.path); serr == nil {
			err = unix.EEXIST // not above it, but there itself
		}
	}
	if err != nil {
		return nil, t.fail(err)
	}
	return t.stat(ctx)
}

// RemoveFile removes a file, a link, or a directory. A tree in which the policy
// keeps something in its place is refused before anything is removed.
func (s *Server) RemoveFile(ctx context.Context, req *sandboxv1.RemoveFileRequest) (*sandboxv1.Empty, error) {
	t, err := s.targetOf(ctx, req.GetSandboxId(), req.GetPath(), "remove")
	if err != nil {
		return nil, err
	}
	if err := t.notRoot(); err != nil {
		return nil, err
	}
	if req.GetRecursive() {
		if err := t.removable(); err != nil {
			return nil, err
		}
	}
	err = t.run.Remove(ctx, t.path, req.GetRecursive())
	if err != nil {
		return nil, t.removeFailed(err)
	}
	return &sandboxv1.Empty{}, nil
}

// removeFailed says what could not be removed: the whole, if the policy keeps
// that, else the entry at which the removal came to its end.
func (t target) removeFailed(err error) error {
	plan, perr := t.run.Sandbox().Plan()
	if perr != nil {
		return translate(perr, t.about())
	}
	denied := isDenied(err) || errors.Is(err, unix.ENOTEMPTY)
	if denied && !mayMove(plan, rooted(t.path)) {
		return t.fail(unix.EACCES)
	}
	if where, ok := errors.AsType[*fs.PathError](err); ok {
		t.path = where.Path
	}
	if errors.Is(err, unix.EBUSY) {
		if mayMove(plan, rooted(t.path)) {
			return fail(codes.Aborted, ReasonFileChanged, "%s changes while it is removed; try again", rooted(t.path)).
				with(keyPath, rooted(t.path)).with(keySandbox, t.about().sandbox)
		}
		err = unix.EACCES
	}
	return t.fail(err)
}

func isDenied(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EBUSY)
}

// removable looks for what the plan has mounted at the target or below it: that
// stays, whoever tries.
func (t target) removable() error {
	plan, err := t.run.Sandbox().Plan()
	if err != nil {
		return translate(err, t.about())
	}
	if kept, ok := keptAt(plan, rooted(t.path)); ok {
		below := target{t.run, kept[1:], t.op}
		return below.fail(unix.EACCES)
	}
	return nil
}

// RenameFile renames a file, over what is there.
func (s *Server) RenameFile(ctx context.Context, req *sandboxv1.RenameFileRequest) (*sandboxv1.Empty, error) {
	for field, path := range map[string][]byte{"from": req.GetFrom(), "to": req.GetTo()} {
		if len(path) == 0 {
			return nil, missing(field)
		}
	}
	from, err := s.targetOf(ctx, req.GetSandboxId(), req.GetFrom(), "rename")
	if err != nil {
		return nil, err
	}
	clean, err := cleanPath(string(req.GetTo()))
	if err != nil {
		return nil, err
	}
	to := target{from.run, clean, from.op}
	if err := errors.Join(from.notRoot(), to.notRoot()); err != nil {
		return nil, err
	}
	if err := from.run.Rename(ctx, from.path, to.path); err != nil {
		return nil, from.renameFailed(ctx, to, err)
	}
	return &sandboxv1.Empty{}, nil
}

// renameFailed finds out which of the two paths an error is about.
func (t target) renameFailed(ctx context.Context, to target, err error) error {
	if isDenied(err) || errors.Is(err, unix.EXDEV) {
		plan, perr := t.run.Sandbox().Plan()
		if perr != nil {
			return translate(perr, t.about())
		}
		for _, side := range []target{t, to} {
			if !mayMove(plan, rooted(side.path)) {
				return side.fail(unix.EACCES)
			}
		}
		return t.fail(err)
	}
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTDIR):
		return to.fail(err)
	case errors.Is(err, unix.ENOENT):
		if _, serr := t.run.Stat(ctx, t.path); serr == nil {
			return to.fail(err) // a directory above it is missing
		}
	}
	return t.fail(err)
}
