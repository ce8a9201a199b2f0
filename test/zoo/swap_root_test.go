//go:build root

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// The daemon opens files of a sandbox that swaps what the names mean: it gets
// only what the sandbox itself could, and no call hangs.
func TestFilesOfASandboxThatSwapsThem(t *testing.T) {
	tools := toolsDirectory(t)
	d := start(t, bin, "--toolchain", tools)
	copyProgram(t, bin+"/zoo", tools+"/zoo")
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	sandbox := d.open(d.ingest(dir), "development")
	host := filepath.Join(d.dir, "host") // leads nowhere in the sandbox
	if err := os.Mkdir(host, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(host+"/inner.txt", []byte(hostMark), 0o644); err != nil {
		t.Fatal(err)
	}
	swapping, err := d.ExecInteractive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := &sandboxv1.ExecRequest{SandboxId: sandbox, Argv: [][]byte{[]byte(tools + "/zoo"), []byte("-helper"), []byte("swap:" + host)}}
	if err := swapping.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: start}}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for end := time.Now().Add(*raceFor); time.Now().Before(end); {
		content, err := d.readFile(t, sandbox, "output/real/inner.txt")
		seen[string(content)+status.Code(err).String()]++
		if bytes.Contains(content, []byte(secretMark)) || bytes.Contains(content, []byte(hostMark)) {
			t.Fatalf("ReadFile() gave %q", content)
		}
		if code := status.Code(err); code == codes.Internal || code == codes.Unavailable || code == codes.DeadlineExceeded {
			t.Fatalf("ReadFile() = %v", err)
		}
		if _, err := d.ListSandboxFiles(bound(t), &sandboxv1.ListSandboxFilesRequest{SandboxId: sandbox, Path: []byte("output/real"), Recursive: true}); status.Code(err) == codes.Internal {
			t.Fatalf("ListSandboxFiles() = %v", err)
		}
	}
	if len(seen) < 2 {
		t.Errorf("nothing was swapped: %v", seen)
	}
	if err := swapping.CloseSend(); err != nil {
		t.Error(err)
	}
	d.checkDelta("development", sandbox)
}

func (d *daemon) readFile(t *testing.T, sandbox, path string) ([]byte, error) {
	t.Helper()
	stream, err := d.ReadFile(bound(t), &sandboxv1.ReadFileRequest{SandboxId: sandbox, Path: []byte(path)})
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		m, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		all = append(all, m.GetData()...)
	}
}
