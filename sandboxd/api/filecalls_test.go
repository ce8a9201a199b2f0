package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func (i *hostInstance) Stat(_ context.Context, p string) (runtime.FileInfo, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(i.path(p), &st); err != nil {
		return runtime.FileInfo{}, err
	}
	target, _ := os.Readlink(i.path(p))
	return runtime.FileInfo{Path: p, Mode: st.Mode, Size: st.Size, ModTime: st.Mtim.Nano(), Target: target}, nil
}

func (i *hostInstance) Rename(_ context.Context, from, to string) error {
	return os.Rename(i.path(from), i.path(to))
}

func (i *hostInstance) Remove(_ context.Context, p string, recursive bool) error {
	if recursive {
		return os.RemoveAll(i.path(p))
	}
	if err := os.Remove(i.path(p)); err != nil {
		return &os.PathError{Op: "remove", Path: p, Err: errors.Unwrap(err)}
	}
	return nil
}

// hostWatch tells what the test puts into the directory's name: "created a".
type hostWatch struct{ left []runtime.FileEvent }

func (i *hostInstance) Watch(_ context.Context, p string, _ bool) (runtime.Watch, error) {
	if _, err := os.ReadDir(i.path(p)); err != nil {
		return nil, err
	}
	return &hostWatch{[]runtime.FileEvent{
		{Change: runtime.FileCreated, Path: "n", Dir: true},
		{Change: runtime.FileOverflow, Dir: true},
	}}, nil
}

func (w *hostWatch) Next(context.Context) ([]runtime.FileEvent, error) {
	if len(w.left) == 0 {
		return nil, io.EOF
	}
	next := w.left[:1]
	w.left = w.left[1:]
	return next, nil
}

func (w *hostWatch) Close() {}

func TestFileCalls(t *testing.T) {
	f := newFixture(t)
	ctx := ctxOf(t)
	made, err := f.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{CodebaseId: f.codebase("a"), Start: true, Permissions: []*sandboxv1.PermissionRule{
		{Pattern: "**/*", Permission: sandboxv1.Permission_PERMISSION_WRITE},
	}})
	if err != nil {
		t.Fatal(err)
	}
	sb := made.GetId()
	dir, err := f.MakeDirectory(ctx, &sandboxv1.MakeDirectoryRequest{SandboxId: sb, Path: []byte("/workspace/a/b/")})
	if err != nil || dir.GetPath() != "a/b" || !dir.GetIsDir() {
		t.Fatalf("made %v, %v", dir, err)
	}
	if _, err := f.MakeDirectory(ctx, &sandboxv1.MakeDirectoryRequest{SandboxId: sb, Path: []byte("a/b")}); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := f.write(sb, "a/b/x", 0o600, "12345"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RenameFile(ctx, &sandboxv1.RenameFileRequest{SandboxId: sb, From: []byte("/a/b/x"), To: []byte("a/\xff")}); err != nil {
		t.Fatal(err)
	}
	info, err := f.StatFile(ctx, &sandboxv1.StatFileRequest{SandboxId: sb, Path: []byte("a/\xff")})
	if err != nil || info.GetSize() != 5 || info.GetMode() != 0o600 || string(info.GetPathBytes()) != "a/\xff" || info.GetName() != "\uFFFD" {
		t.Errorf("stat is %v, %v", info, err)
	}
	root, err := f.StatFile(ctx, &sandboxv1.StatFileRequest{SandboxId: sb, Path: []byte("/")})
	if err != nil || root.GetPath() != "" || !root.GetIsDir() {
		t.Errorf("the root is %v, %v", root, err)
	}
	_, err = f.RemoveFile(ctx, &sandboxv1.RemoveFileRequest{SandboxId: sb, Path: []byte("a")})
	if meta := wantError(t, err, codes.FailedPrecondition, ReasonDirectoryNotEmpty); meta["path"] != "/a" || meta["operation"] != "remove" {
		t.Errorf("metadata is %v", meta)
	}
	if _, err := f.RemoveFile(ctx, &sandboxv1.RemoveFileRequest{SandboxId: sb, Path: []byte("a"), Recursive: true}); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(f.runtime.dir, "a")); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestFileCallsRefuse(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ctx := ctxOf(t)
	stat := func(p string) error {
		_, err := f.StatFile(ctx, &sandboxv1.StatFileRequest{SandboxId: sb, Path: []byte(p)})
		return err
	}
	remove := func(p string) error {
		_, err := f.RemoveFile(ctx, &sandboxv1.RemoveFileRequest{SandboxId: sb, Path: []byte(p), Recursive: true})
		return err
	}
	rename := func(from, to string) error {
		_, err := f.RenameFile(ctx, &sandboxv1.RenameFileRequest{SandboxId: sb, From: []byte(from), To: []byte(to)})
		return err
	}
	mkdir := func(p string) error {
		_, err := f.MakeDirectory(ctx, &sandboxv1.MakeDirectoryRequest{SandboxId: sb, Path: []byte(p)})
		return err
	}
	for name, tt := range map[string]struct {
		err    error
		code   codes.Code
		reason string
	}{
		"stat of nothing":          {stat("nope"), codes.NotFound, ReasonFileNotFound},
		"stat without a path":      {stat(""), codes.InvalidArgument, ReasonMissingField},
		"stat outside":             {stat("../x"), codes.InvalidArgument, ReasonInvalidPath},
		"remove the root":          {remove("/workspace/"), codes.InvalidArgument, ReasonInvalidPath},
		"remove outside":           {remove("/workspace/../etc"), codes.InvalidArgument, ReasonInvalidPath},
		"remove a NUL":             {remove("a\x00"), codes.InvalidArgument, ReasonInvalidPath},
		"rename the root":          {rename("/", "x"), codes.InvalidArgument, ReasonInvalidPath},
		"rename to the root":       {rename("x", "."), codes.InvalidArgument, ReasonInvalidPath},
		"rename without from":      {rename("", "x"), codes.InvalidArgument, ReasonMissingField},
		"rename without to":        {rename("x", ""), codes.InvalidArgument, ReasonMissingField},
		"rename out":               {rename("x", "../x"), codes.InvalidArgument, ReasonInvalidPath},
		"rename nothing":           {rename("nope", "x"), codes.NotFound, ReasonFileNotFound},
		"make a directory outside": {mkdir("a/../../x"), codes.InvalidArgument, ReasonInvalidPath},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, tt.err, tt.code, tt.reason) })
	}
}

func TestWatchFiles(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	if _, err := f.MakeDirectory(ctxOf(t), &sandboxv1.MakeDirectoryRequest{SandboxId: sb, Path: []byte("d")}); err != nil {
		t.Fatal(err)
	}
	watch := func(path string) (string, error) {
		stream, err := f.WatchFiles(ctxOf(t), &sandboxv1.WatchFilesRequest{SandboxId: sb, Path: []byte(path)})
		if err != nil {
			return "", err
		}
		var all []string
		for {
			e, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return strings.Join(all, ", "), nil
			}
			if err != nil {
				return "", err
			}
			all = append(all, fmt.Sprintf("%v %s %v", int32(e.GetKind()), e.GetPath(), e.GetIsDir()))
		}
	}
	for path, want := range map[string]string{
		"/d": "0  false, 1 d/n true, 5 d true",
		"":   "0  false, 1 n true, 5  true",
	} {
		if got, err := watch(path); got != want || err != nil {
			t.Errorf("watch of %q told %q, %v, want %q", path, got, err, want)
		}
	}
	_, err := watch("nope")
	wantError(t, err, codes.NotFound, ReasonFileNotFound)
}

func TestKeptAt(t *testing.T) {
	plan := policy.Plan{Writable: []string{"/", "/w/x"}, Protected: []string{"/p", "/w/y"}, Files: []string{"/f"}}
	for path, want := range map[string]string{"/p": "/p", "/w": "/w/x", "/w/y/z": "", "/pp": "", "/f": "/f"} {
		if got, ok := keptAt(plan, path); got != want || ok != (want != "") {
			t.Errorf("keptAt(%s) = %q, %v, want %q", path, got, ok, want)
		}
	}
}

func TestMayMove(t *testing.T) {
	plan := policy.Plan{Writable: []string{"/w", "/w/p/again"}, Protected: []string{"/w/p"}, Files: []string{"/f"}}
	for path, want := range map[string]bool{
		"/": false, "/x": false, "/f": false, "/w": false, "/w/x": true, "/w/x/y": true,
		"/w/p": false, "/w/p/x": false, "/w/p/again": false, "/w/p/again/x": true, "/ww": false,
	} {
		if got := mayMove(plan, path); got != want {
			t.Errorf("mayMove(%s) = %v, want %v", path, got, want)
		}
	}
	if !mayMove(policy.Plan{Writable: []string{"/"}}, "/x") || mayMove(policy.Plan{Writable: []string{"/"}}, "/") {
		t.Error("a writable root is not what it should be")
	}
}
