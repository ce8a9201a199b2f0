//go:build root

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const (
	large      = 1 << 30
	largeChunk = 1 << 20
	// mayGrow is what a daemon through which large files went may hold more at
	// its peak: buffers of the streams, and what Go has not collected yet.
	mayGrow = 64 << 20
)

// peak is the most memory that the daemon ever had, in bytes.
func (b *box) peak() int64 {
	b.Helper()
	_, rest, _ := strings.Cut(readProc(b, "status"), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib << 10
}

func (b *box) wantFlat(what string, before int64, begin time.Time) {
	b.Helper()
	grown := b.peak() - before
	if grown > mayGrow {
		b.Errorf("%s: the daemon grew by %d MiB", what, grown>>20)
	}
	b.Logf("%s: %v, the daemon grew by %d MiB", what, time.Since(begin).Round(time.Millisecond), grown>>20)
}

// readLarge reads a stream of FileChunks to its end.
func readLarge(t *testing.T, stream grpc.ServerStreamingClient[sandboxv1.FileChunk], err error) string {
	t.Helper()
	h := sha256.New()
	for err == nil {
		var m *sandboxv1.FileChunk
		if m, err = stream.Recv(); err == nil {
			h.Write(m.GetData())
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestLargeFilesStream(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	chunk := make([]byte, largeChunk)
	_, _ = rand.NewChaCha8([32]byte{}).Read(chunk)
	h := sha256.New()
	for range large / largeChunk {
		h.Write(chunk)
	}
	want := fmt.Sprintf("%x", h.Sum(nil))
	before := b.peak()

	begin := time.Now()
	up, err := b.WriteFile(ctxOf(t))
	if err != nil {
		t.Fatal(err)
	}
	up.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: &sandboxv1.WriteFileRequest_Start{SandboxId: sb, Path: []byte("large")}}})
	for range large / largeChunk {
		up.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: chunk}})
	}
	if info, err := up.CloseAndRecv(); err != nil || info.GetSize() != large {
		t.Fatalf("written %v, %v", info, err)
	}
	b.wantFlat("WriteFile", before, begin)

	begin = time.Now()
	stream, err := b.ReadFile(ctxOf(t), &sandboxv1.ReadFileRequest{SandboxId: sb, Path: []byte("large")})
	if got := readLarge(t, stream, err); got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	b.wantFlat("ReadFile", before, begin)

	begin = time.Now()
	put, err := b.codebases.UploadFiles(ctxOf(t))
	if err != nil {
		t.Fatal(err)
	}
	put.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Metadata_{Metadata: &sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "large", TotalSize: large}}})
	for range large / largeChunk {
		put.Send(&sandboxv1.UploadChunk{Content: &sandboxv1.UploadChunk_Data{Data: chunk}})
	}
	if res, err := put.CloseAndRecv(); err != nil || res.GetChecksum() != want {
		t.Fatalf("uploaded %v, %v", res, err)
	}
	b.wantFlat("UploadFiles", before, begin)

	begin = time.Now()
	down, err := b.codebases.DownloadFile(ctxOf(t), &sandboxv1.DownloadFileRequest{CodebaseId: cb, FilePath: "large"})
	if got := readLarge(t, down, err); got != want {
		t.Errorf("downloaded %s, want %s", got, want)
	}
	b.wantFlat("DownloadFile", before, begin)

	// Readers that stop reading hold up nobody, and nothing grows.
	for range 16 {
		slow, err := b.ReadFile(ctxOf(t), &sandboxv1.ReadFileRequest{SandboxId: sb, Path: []byte("large")})
		if err == nil {
			_, err = slow.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	if got := b.run(sb, "stat -c %s large"); got != fmt.Sprintln(large) {
		t.Errorf("the size is %s", got)
	}
	b.wantFlat("16 times ReadFile without readers", before, begin)
}
