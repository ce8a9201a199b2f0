package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// StatFile knows one file of 5 MiB. Copies are so slow that they show progress.
func (f *fakeDaemon) StatFile(_ context.Context, req *sandboxv1.StatFileRequest) (*sandboxv1.FileInfo, error) {
	if string(req.GetPath()) != "large" {
		return nil, refuse(codes.NotFound, "FILE_NOT_FOUND", "no file %q", req.GetPath())
	}
	return &sandboxv1.FileInfo{Path: "large", PathBytes: []byte("large"), Size: 5 << 20, Mode: 0o644}, nil
}

func (f *fakeDaemon) WriteFile(stream grpc.ClientStreamingServer[sandboxv1.WriteFileRequest, sandboxv1.FileInfo]) error {
	for {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&sandboxv1.FileInfo{})
		}
		if err != nil {
			return err
		}
		time.Sleep(progressAfter / 8)
	}
}

func (f *fakeDaemon) ReadFile(_ *sandboxv1.ReadFileRequest, stream grpc.ServerStreamingServer[sandboxv1.FileChunk]) error {
	for range 20 {
		if err := stream.Send(&sandboxv1.FileChunk{Data: make([]byte, copyChunk)}); err != nil {
			return err
		}
		time.Sleep(progressAfter / 8)
	}
	return nil
}
