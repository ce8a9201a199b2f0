//go:build root

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// TestPathsOfClientsLeadNowhereElse gives every field that is a path, or could be
// taken for one, ways to a directory of the host. What is there must neither
// come back nor change.
func TestPathsOfClientsLeadNowhereElse(t *testing.T) {
	b := newBox(t)
	host := t.TempDir()
	const secret = "content of the host"
	target := filepath.Join(host, "secret")
	if err := os.WriteFile(target, []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: []*sandboxv1.PermissionRule{rule("**/*", write)}})
	b.run(sb, "ln -s "+target+" link; ln -s "+host+" dir; ln -s /proc/1/root up; ln -s /etc/hostname own; ln -s ../../../../../.. dots")
	up := strings.Repeat("../", 12)
	for _, path := range []string{
		target, up + target[1:], "/workspace/" + up + target[1:], "link", "dir/secret", "up" + target, "dots" + target,
		"/proc/1/root" + target, "/proc/self/root" + target, "/proc/self/cwd/" + up + target[1:], "./link", "a/../dir/secret",
	} {
		for call, try := range pathCalls(b, cb, sb, path) {
			out, err := try()
			if strings.Contains(out, secret) || err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s of %q gave the host's file", call, path)
			}
		}
		entries, err := os.ReadDir(host)
		if err != nil || len(entries) != 1 {
			t.Fatalf("with %q the host's directory has become %v, %v", path, entries, err)
		}
		if data, err := os.ReadFile(target); string(data) != secret || err != nil {
			t.Fatalf("with %q the host's file has become %q, %v", path, data, err)
		}
	}
	// The links are followed, but inside.
	b.run(sb, "ln -sfn /etc/hostname own")
	stream, err := b.ReadFile(ctxOf(t), &sandboxv1.ReadFileRequest{SandboxId: sb, Path: []byte("own")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(stream); err == nil && got != "sandbox\n" {
		t.Errorf("a link to /etc/hostname reads %q", got)
	}
}

// pathCalls are all calls that take a path, with this one.
func pathCalls(b *box, cb, sb, path string) map[string]func() (string, error) {
	ctx, p := ctxOf(b.T), []byte(path)
	text := func(m interface{ String() string }, err error) (string, error) {
		if err != nil {
			return "", err
		}
		return m.String(), nil
	}
	return map[string]func() (string, error){
		"DownloadFile": func() (string, error) { return b.download(cb, path) },
		"ListFiles": func() (string, error) {
			return text(b.codebases.ListFiles(ctx, &sandboxv1.ListFilesRequest{CodebaseId: cb, Path: path, Recursive: true}))
		},
		"UploadFiles": func() (string, error) {
			up, err := b.codebases.UploadFiles(ctx)
			if err != nil {
				return "", err
			}
			_ = up.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Metadata_{Metadata: &sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: path, TotalSize: 1}}})
			_ = up.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Data{Data: []byte("x")}})
			return text(up.CloseAndRecv())
		},
		"ReadFile": func() (string, error) {
			stream, err := b.ReadFile(ctx, &sandboxv1.ReadFileRequest{SandboxId: sb, Path: p})
			if err != nil {
				return "", err
			}
			return readAll(stream)
		},
		"WriteFile": func() (string, error) {
			up, err := b.WriteFile(ctx)
			if err != nil {
				return "", err
			}
			_ = up.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: &sandboxv1.WriteFileRequest_Start{SandboxId: sb, Path: append(p, "2"...)}}})
			_ = up.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: []byte("x")}})
			return text(up.CloseAndRecv())
		},
		"ListSandboxFiles": func() (string, error) {
			return text(b.ListSandboxFiles(ctx, &sandboxv1.ListSandboxFilesRequest{SandboxId: sb, Path: []byte(filepath.Dir(path))}))
		},
		"StatFile": func() (string, error) {
			return text(b.StatFile(ctx, &sandboxv1.StatFileRequest{SandboxId: sb, Path: p}))
		},
		"MakeDirectory": func() (string, error) {
			return text(b.MakeDirectory(ctx, &sandboxv1.MakeDirectoryRequest{SandboxId: sb, Path: append(p, "/new"...)}))
		},
		"RenameFile": func() (string, error) {
			return text(b.RenameFile(ctx, &sandboxv1.RenameFileRequest{SandboxId: sb, From: []byte("a"), To: append(p, ".moved"...)}))
		},
		"workdir": func() (string, error) {
			return text(b.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: sb, Workdir: filepath.Dir(path), Command: "cat secret"}))
		},
		"Commit": func() (string, error) {
			return text(b.Commit(ctx, &sandboxv1.CommitRequest{SandboxId: sb, Paths: [][]byte{p}}))
		},
		"sandbox id":  func() (string, error) { return text(b.Diff(ctx, &sandboxv1.DiffRequest{SandboxId: path})) },
		"codebase id": func() (string, error) { return b.download(path, "secret") },
		"image": func() (string, error) {
			return text(b.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Image: path, RequestId: path, Start: true}))
		},
	}
}
