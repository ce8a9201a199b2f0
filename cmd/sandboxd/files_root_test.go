//go:build root

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (b *box) readFile(sandbox, path string) (string, error) {
	stream, err := b.ReadFile(ctxOf(b.T), &sandboxv1.ReadFileRequest{SandboxId: sandbox, Path: []byte(path)})
	if err != nil {
		return "", err
	}
	return readAll(stream)
}

func (b *box) writeFile(sandbox, path, content string, mode uint32) (*sandboxv1.FileInfo, error) {
	stream, err := b.WriteFile(ctxOf(b.T))
	if err != nil {
		return nil, err
	}
	stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: &sandboxv1.WriteFileRequest_Start{
		SandboxId: sandbox, Path: []byte(path), Mode: mode,
	}}})
	for chunk := range slices.Chunk([]byte(content), 1<<20) {
		stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: chunk}})
	}
	return stream.CloseAndRecv()
}

func TestFilesOfASandbox(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello", "src/b.go": "package b", ".env": "secret", "names/only": "x"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: append(reading(), rule("/names/*", look))})

	for _, path := range []string{"a.txt", "/a.txt", "/workspace/a.txt", "./src/../a.txt"} {
		if got, err := b.readFile(sb, path); got != "hello" || err != nil {
			t.Errorf("read %s: %q, %v", path, got, err)
		}
	}
	big := make([]byte, 5<<20)
	rand.Read(big)
	for path, content := range map[string]string{"output/x": "x", "/output/new/deep/y": "y", "/workspace/output/big": string(big), "output/empty": ""} {
		info, err := b.writeFile(sb, path, content, 0)
		if err != nil {
			t.Fatalf("write %s: %v", path, err)
		}
		if info.GetSize() != int64(len(content)) || info.GetMode() != 0o644 {
			t.Errorf("write %s: %v", path, info)
		}
		if got, err := b.readFile(sb, path); !bytes.Equal([]byte(got), []byte(content)) || err != nil {
			t.Errorf("read %s: %d bytes, %v", path, len(got), err)
		}
	}
	if info, err := b.writeFile(sb, "output/script", "#!/bin/sh\necho ran\n", 0o777); err != nil || info.GetMode() != 0o777 {
		t.Errorf("write script: %v, %v", info, err)
	}
	if got := b.run(sb, "output/script; stat -c '%U %a' output/script output/new"); got != "ran\nagent 777\nagent 755\n" {
		t.Errorf("output is %q", got)
	}
}

func TestFileErrorsNameTheRule(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello", ".env": "secret", "names/only": "x"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: append(reading(), rule("/names/*", look))})
	b.run(sb, "cd output; mkfifo fifo; ln -s /dev/zero zero; ln -s ../.env env; mkdir dir; ln -s fifo link")
	for name, tt := range map[string]struct {
		op, path     string
		code         codes.Code
		reason, rule string
	}{
		"hidden":                  {"read", ".env", codes.NotFound, "FILE_NOT_FOUND", ""},
		"hidden, through a link":  {"read", "output/env", codes.NotFound, "FILE_NOT_FOUND", ""},
		"missing":                 {"read", "nope", codes.NotFound, "FILE_NOT_FOUND", ""},
		"view only":               {"read", "names/only", codes.PermissionDenied, "PERMISSION_DENIED", "/names/*"},
		"write to a read path":    {"write", "a.txt", codes.PermissionDenied, "PERMISSION_DENIED", "**/*"},
		"create where not":        {"write", "new.txt", codes.PermissionDenied, "PERMISSION_DENIED", "**/*"},
		"create below where not":  {"write", "no/new.txt", codes.PermissionDenied, "PERMISSION_DENIED", "**/*"},
		"leaves the codebase":     {"read", "../etc/passwd", codes.InvalidArgument, "INVALID_PATH", ""},
		"leaves the workspace":    {"write", "/workspace/../x", codes.InvalidArgument, "INVALID_PATH", ""},
		"nul":                     {"read", "a\x00b", codes.InvalidArgument, "INVALID_PATH", ""},
		"a directory":             {"read", "output/dir", codes.FailedPrecondition, "NOT_A_FILE", ""},
		"the root":                {"read", "/workspace", codes.InvalidArgument, "NOT_A_FILE", ""},
		"a fifo without writers":  {"read", "output/fifo", codes.FailedPrecondition, "NOT_A_FILE", ""},
		"a fifo without readers":  {"write", "output/link", codes.FailedPrecondition, "NOT_A_FILE", ""},
		"a device behind a link":  {"read", "output/zero", codes.FailedPrecondition, "NOT_A_FILE", ""},
		"a device, to be written": {"write", "output/zero", codes.FailedPrecondition, "NOT_A_FILE", ""},
		"below a file":            {"read", "a.txt/x", codes.FailedPrecondition, "NOT_A_DIRECTORY", ""},
		"no path":                 {"read", "", codes.InvalidArgument, "MISSING_FIELD", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if tt.op == "read" {
				_, err = b.readFile(sb, tt.path)
			} else {
				_, err = b.writeFile(sb, tt.path, "x", 0)
			}
			info := wantError(t, err, tt.code, tt.reason)
			if got := info.GetMetadata()["rule"]; got != tt.rule {
				t.Errorf("rule is %q, want %q", got, tt.rule)
			}
		})
	}
}

func TestListSandboxFiles(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello", ".env": "secret", "src/b.go": "b"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: reading()})
	b.run(sb, "ln -s ../a.txt output/link; printf x > $'output/\\xff'")
	for name, tt := range map[string]struct {
		path      string
		recursive bool
		want      string
	}{
		"the root":  {"", false, "a.txt output src"},
		"all":       {"/", true, "a.txt output output/link output/\xff src src/b.go"},
		"a subtree": {"/workspace/src", false, "src/b.go"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := b.ListSandboxFiles(ctxOf(t), &sandboxv1.ListSandboxFilesRequest{SandboxId: sb, Path: []byte(tt.path), Recursive: tt.recursive})
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, f := range resp.GetFiles() {
				paths = append(paths, string(f.GetPathBytes()))
			}
			slices.Sort(paths)
			if got := strings.Join(paths, " "); got != tt.want {
				t.Errorf("paths are %q, want %q", got, tt.want)
			}
		})
	}
	_, err := b.ListSandboxFiles(ctxOf(t), &sandboxv1.ListSandboxFilesRequest{SandboxId: sb, Path: []byte("nope")})
	wantError(t, err, codes.NotFound, "FILE_NOT_FOUND")
}

// scratch counts the files without a name that the daemon holds open in its state.
func (b *box) scratch() (n int) {
	b.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, fd := range list {
		to, err := os.Readlink(filepath.Join(dir, fd.Name())) // it may be closed
		if err == nil && strings.HasPrefix(to, b.dir+"/") && strings.HasSuffix(to, " (deleted)") {
			n++
		}
	}
	return n
}

// TestContentThatNeverEndsChangesNothing is a client that goes away while it
// sends a file.
func TestContentThatNeverEndsChangesNothing(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "whole"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{
		CodebaseId: cb, Permissions: writable(), Resources: &sandboxv1.ResourceLimits{DiskBytes: 8 << 20},
	})
	send := func(ctx context.Context, path string, pieces int) grpc.ClientStreamingClient[sandboxv1.WriteFileRequest, sandboxv1.FileInfo] {
		up, err := b.WriteFile(ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = up.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{
			Start: &sandboxv1.WriteFileRequest_Start{SandboxId: sb, Path: []byte(path)},
		}})
		for n := 0; n < pieces && err == nil; n++ {
			err = up.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: make([]byte, 1<<20)}})
		}
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		return up
	}
	for _, path := range []string{"a", "new"} {
		ctx, cancel := context.WithCancel(ctxOf(t))
		up := send(ctx, path, 3)
		waitFor(t, "the daemon to have some of the content", func() bool { return b.scratch() == 1 })
		cancel()
		// To close the stream would say that this was all of it, if that is faster
		// than the news that the call is given up.
		if err := up.RecvMsg(&sandboxv1.FileInfo{}); status.Code(err) != codes.Canceled {
			t.Errorf("a call that was given up: %v", err)
		}
		waitFor(t, "the daemon to give the call up too", func() bool { return b.scratch() == 0 })
	}
	if got, err := b.readFile(sb, "a"); got != "whole" {
		t.Errorf("the file is %.20q, %v", got, err)
	}
	_, err := b.readFile(sb, "new")
	wantError(t, err, codes.NotFound, "FILE_NOT_FOUND")
	_, err = send(ctxOf(t), "a", 9).CloseAndRecv()
	full := wantError(t, err, codes.ResourceExhausted, "DISK_FULL").GetMetadata()
	if full["limit"] == "" || full["path"] != "/a" || !strings.Contains(err.Error(), "disk_bytes") {
		t.Errorf("a sandbox at its own limit says %v with %v", err, full)
	}
	if got, err := b.readFile(sb, "a"); got != "whole" {
		t.Errorf("after one that is too large the file is %.20q, %v", got, err)
	}
}
