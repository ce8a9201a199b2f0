package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// chunk is how much of a file clients put into one message.
const chunk = 256 << 10

// measureFile compares 1 MiB into a sandbox and out of it with the same written
// and read on the file system that the sandbox's changes are on.
func measureFile(ctx context.Context, b *bench) error {
	codebase, _, err := b.small(ctx)
	if err != nil {
		return err
	}
	sb, err := b.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE)
	if err != nil {
		return err
	}
	content := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	plain := filepath.Join(b.dir, "plain")
	got, err := turns(b.rounds(300),
		func() error { return b.writeFile(ctx, sb, "big", content) },
		func() error { return os.WriteFile(plain, content, 0o644) },
		func() error { return b.readFile(ctx, sb, "big", content) },
		func() error {
			data, err := os.ReadFile(plain)
			return errors.Join(err, same(data, content))
		})
	if err != nil {
		return err
	}
	b.table.times("1 MiB up", got[0], got[1], "write(2) of a file beside the delta")
	b.table.times("1 MiB down", got[2], got[3], "read(2) of it")
	return b.destroy(ctx, sb)
}

func (b *bench) writeFile(ctx context.Context, sb, path string, content []byte) error {
	stream, err := b.sandboxes.WriteFile(ctx)
	if err != nil {
		return err
	}
	start := &sandboxv1.WriteFileRequest_Start{SandboxId: sb, Path: []byte(path)}
	err = stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: start}})
	for at := 0; err == nil && at < len(content); at += chunk {
		data := content[at:min(at+chunk, len(content))]
		err = stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: data}})
	}
	if err != nil && !errors.Is(err, io.EOF) { // then the answer says why
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (b *bench) readFile(ctx context.Context, sb, path string, want []byte) error {
	stream, err := b.sandboxes.ReadFile(ctx, &sandboxv1.ReadFileRequest{SandboxId: sb, Path: []byte(path)})
	if err != nil {
		return err
	}
	got := make([]byte, 0, len(want))
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return same(got, want)
		}
		if err != nil {
			return err
		}
		got = append(got, m.GetData()...)
	}
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came back, not the %d that were written", len(got), len(want))
	}
	return nil
}
