package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// fileChunk is how much of a file goes into one message.
const fileChunk = 256 << 10

// opCreate is what makes a directory.
const opCreate = "create"

// target is a path in a running sandbox.
type target struct {
	run  *sandbox.Run
	path string // relative to the root; "." is the root
	op   string // what is being done, for errors
}

func (s *Server) target(ctx context.Context, id, clean, op string) (target, error) {
	sb, err := s.find(ctx, id)
	if err != nil {
		return target{}, err
	}
	run, err := sb.Run()
	if err != nil {
		return target{}, translate(err, about{sandbox: id})
	}
	return target{run, clean, op}, nil
}

func (t target) about() about { return about{sandbox: t.run.Sandbox().Info().ID} }

// fail turns what the sandbox's kernel said into what the client is told: a
// refusal names the rule that decided.
func (t target) fail(err error) error {
	f, info := t.failure(err), t.run.Sandbox().Info()
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		f = f.with(keyErrno, unix.ErrnoName(errno))
	}
	return f.with(keyPath, rooted(t.path)).with(keyOperation, t.op).with(keySandbox, info.ID).with(keyCodebase, info.CodebaseID)
}

func (t target) failure(err error) *failure {
	p := rooted(t.path)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fail(codes.NotFound, ReasonFileNotFound, "/workspace%s does not exist", p)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EEXIST) && t.op == opCreate:
		return fail(codes.FailedPrecondition, ReasonNotADirectory, "%s: not a directory", p)
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return notRegular(p)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return t.denied()
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return fail(codes.FailedPrecondition, ReasonDirectoryNotEmpty, "%s is a directory that is not empty; remove it recursively", p)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return t.full()
	case errors.Is(err, runtime.ErrListing):
		return overLimit("listing", worker.MaxListing, "%s: %v", p, err)
	case errors.Is(err, unix.EXDEV):
		return fail(codes.FailedPrecondition, ReasonRenameImpossible,
			"%s cannot be renamed in one step: it is a directory of the snapshot, or the two places are separate mounts; copy it and remove it instead", p)
	case errors.Is(err, unix.EMFILE): // the kernel's, for all sandboxes of a user
		return fail(codes.ResourceExhausted, ReasonLimitExceeded, "the sandbox's user has as many watches as it may").with(keyResource, "file-calls-per-sandbox")
	case errors.Is(err, unix.EUSERS):
		return overLimit("file-calls-per-sandbox", worker.MaxLong, "the sandbox has as many watches and removals under way as it may")
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EINVAL):
		return fail(codes.InvalidArgument, ReasonInvalidPath, "%s is refused: %v", p, err)
	}
	return translate(err, t.about())
}

// full is a file system without room: that of the sandbox's delta has the size of
// its limit, and lies on the daemon's.
func (t target) full() *failure {
	f := fail(codes.ResourceExhausted, ReasonDiskFull, "no room for %s on the daemon's disk", rooted(t.path))
	if i := t.run.Sandbox().Info(); i.Bounded {
		f.message = fmt.Sprintf("no room for %s: the sandbox's changes may take %d bytes (disk_bytes), or the daemon's disk is full", rooted(t.path), i.Limits.Disk)
		f = f.with(keyLimit, strconv.FormatInt(i.Limits.Disk, 10))
	}
	return f.with(keyResource, "disk")
}

func (t target) denied() *failure {
	p := rooted(t.path)
	f := fail(codes.PermissionDenied, ReasonPermissionDenied, "the policy does not let the sandbox %s %s", t.op, p)
	pol, err := t.run.Sandbox().Policy()
	if err != nil {
		return f
	}
	v := pol.Decide(p)
	if v.Level == policy.Write && t.op != "read" {
		f.message = fmt.Sprintf("%s stays where it is while the sandbox runs, since rules make it differ from what is around it", p)
	}
	return withRule(f, v, pol.Rules())
}

// withRule adds the rule behind a verdict.
func withRule(f *failure, v policy.Verdict, rules []policy.Rule) *failure {
	if v.Rule < 0 || v.Rule >= len(rules) {
		return f
	}
	r := rules[v.Rule]
	f.message += " (rule " + r.String() + ")"
	return f.with(keyRule, r.Pattern).with(keyIndex, itoa(v.Rule)).with(keyPreset, r.Preset)
}

func notRegular(p string) *failure {
	return fail(codes.FailedPrecondition, ReasonNotAFile, "%s is not a regular file", p)
}

// open opens the target and makes sure that it is a regular file: the sandbox
// may have put anything there, at any time.
func (t target) open(ctx context.Context, flags int, mode uint32) (*os.File, error) {
	f, err := t.run.Open(ctx, t.path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := fstat(f, &st); err != nil {
		f.Close()
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return f, nil
	case unix.S_IFDIR:
		err = unix.EISDIR
	default:
		err = unix.ENXIO
	}
	f.Close()
	return nil, t.fail(err)
}

// ReadFile sends a file as the sandbox sees it.
func (s *Server) ReadFile(req *sandboxv1.ReadFileRequest, stream grpc.ServerStreamingServer[sandboxv1.FileChunk]) error {
	clean, err := cleanFile(string(req.GetPath()))
	if err != nil {
		return err
	}
	t, err := s.target(stream.Context(), req.GetSandboxId(), clean, "read")
	if err != nil {
		return err
	}
	f, err := t.open(stream.Context(), unix.O_RDONLY, 0)
	if err != nil {
		return t.fail(err)
	}
	defer f.Close()
	if err := sendFile(f, stream); err != nil {
		return t.fail(err)
	}
	return nil
}

// sendFile sends all of r, at least one message.
func sendFile(r io.Reader, stream grpc.ServerStreamingServer[sandboxv1.FileChunk]) error {
	buf := make([]byte, fileChunk)
	for sent := false; ; sent = true {
		n, err := io.ReadFull(r, buf)
		if n > 0 || !sent {
			if serr := stream.Send(&sandboxv1.FileChunk{Data: buf[:n]}); serr != nil {
				return serr
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// WriteFile replaces the content of a file in the sandbox, or makes it, with
// the directories above it.
func (s *Server) WriteFile(stream grpc.ClientStreamingServer[sandboxv1.WriteFileRequest, sandboxv1.FileInfo]) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return fail(codes.InvalidArgument, ReasonUnexpectedStep, "the first message must be start")
	}
	clean, err := cleanFile(string(start.GetPath()))
	if err != nil {
		return err
	}
	if start.GetMode()&^0o777 != 0 {
		return invalid("mode", "%o has more than permission bits", start.GetMode())
	}
	t, err := s.target(ctx, start.GetSandboxId(), clean, "write")
	if err != nil {
		return err
	}
	if err := t.mayCreate(ctx); err != nil {
		return err
	}
	most := int64(math.MaxInt64)
	if info := t.run.Sandbox().Info(); info.Bounded {
		most = info.Limits.Disk
	}
	content, err := s.gather(stream, most)
	if err != nil {
		return t.fail(err)
	}
	defer content.close()
	f, err := t.create(ctx, start.GetMode())
	if err != nil {
		return t.fail(err)
	}
	defer f.Close()
	if err := content.writeTo(f); err != nil {
		return t.fail(err)
	}
	var st unix.Stat_t
	if err := fstat(f, &st); err != nil {
		return t.fail(err)
	}
	return stream.SendAndClose(wireFile(clean, st.Mode, false, st.Size, st.Mtim.Nano(), ""))
}

// mayCreate tells a client that the policy refuses the target before it has
// sent what was to be in it.
func (t target) mayCreate(ctx context.Context) error {
	pol, err := t.run.Sandbox().Policy()
	if err != nil {
		return t.fail(err)
	}
	if pol.Decide(rooted(t.path)).Level == policy.Write {
		return nil
	}
	f, err := t.open(ctx, unix.O_WRONLY|unix.O_CREAT, 0o644)
	if errors.Is(err, unix.ENOENT) { // the directory is missing too
		return nil
	}
	if err != nil {
		return t.fail(err)
	}
	return f.Close()
}

// create opens the target for writing, empty. A mode is for a file that does
// not exist yet.
func (t target) create(ctx context.Context, mode uint32) (*os.File, error) {
	const flags = unix.O_WRONLY | unix.O_TRUNC
	f, err := t.open(ctx, flags, 0)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	asked := mode
	if asked == 0 {
		asked = 0o644
	}
	f, err = t.open(ctx, flags|unix.O_CREAT, asked)
	if parent := path.Dir(t.path); errors.Is(err, unix.ENOENT) && parent != "." {
		if err := t.makeDirs(ctx, parent); err != nil {
			return nil, err
		}
		f, err = t.open(ctx, flags|unix.O_CREAT, asked)
	}
	if err != nil || mode == 0 {
		return f, err
	}
	if err := f.Chmod(os.FileMode(mode)); err != nil { // the sandbox has a umask
		f.Close()
		return nil, err
	}
	return f, nil
}

// makeDirs makes a directory and those above it. Whatever else stands in the way
// of one is ENOTDIR, also a link to nowhere.
func (t target) makeDirs(ctx context.Context, dir string) error {
	err := t.run.MakeDirs(ctx, dir, 0o755)
	if errors.Is(err, unix.EEXIST) {
		return unix.ENOTDIR
	}
	return err
}

// ListSandboxFiles lists a directory as the sandbox sees it.
func (s *Server) ListSandboxFiles(ctx context.Context, req *sandboxv1.ListSandboxFilesRequest) (*sandboxv1.ListFilesResponse, error) {
	clean, err := cleanPath(string(req.GetPath()))
	if err != nil {
		return nil, err
	}
	t, err := s.target(ctx, req.GetSandboxId(), clean, "list")
	if err != nil {
		return nil, err
	}
	list, err := t.run.List(ctx, clean, req.GetRecursive())
	if err != nil {
		return nil, t.fail(err)
	}
	resp := &sandboxv1.ListFilesResponse{Files: make([]*sandboxv1.FileInfo, len(list))}
	for i, e := range list {
		isDir := e.Mode&unix.S_IFMT == unix.S_IFDIR
		resp.Files[i] = wireFile(path.Join(clean, e.Path), e.Mode, isDir, e.Size, e.ModTime, e.Target)
	}
	return resp, nil
}
