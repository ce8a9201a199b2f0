package api

import (
	"context"
	"errors"
	"io"
	"path"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

var fileChanges = map[sandboxv1.FileEvent_Kind]runtime.FileChange{
	sandboxv1.FileEvent_KIND_CREATED:    runtime.FileCreated,
	sandboxv1.FileEvent_KIND_MODIFIED:   runtime.FileModified,
	sandboxv1.FileEvent_KIND_REMOVED:    runtime.FileRemoved,
	sandboxv1.FileEvent_KIND_ATTRIBUTES: runtime.FileAttributes,
	sandboxv1.FileEvent_KIND_OVERFLOW:   runtime.FileOverflow,
}

// WatchFiles sends what the sandbox changes in a directory, until the call, the
// sandbox or the directory ends. A client that does not read holds up nothing
// but its own events.
func (s *Server) WatchFiles(req *sandboxv1.WatchFilesRequest, stream grpc.ServerStreamingServer[sandboxv1.FileEvent]) error {
	clean, err := cleanPath(string(req.GetPath()))
	if err != nil {
		return err
	}
	t, err := s.target(stream.Context(), req.GetSandboxId(), clean, "watch")
	if err != nil {
		return err
	}
	ctx, cancel := t.run.Bind(stream.Context())
	defer cancel()
	w, err := t.run.Watch(ctx, clean, req.GetRecursive())
	if errors.Is(err, unix.ENOSPC) {
		return overLimit("watched-directories", worker.MaxWatched, "%s has more directories than one watch follows", rooted(clean)).
			with(keyPath, rooted(clean)).with(keySandbox, req.GetSandboxId())
	}
	if err != nil {
		return t.fail(err)
	}
	defer w.Close()
	if err := stream.Send(&sandboxv1.FileEvent{}); err != nil {
		return err
	}
	for {
		events, err := w.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return t.fail(err)
		}
		for _, e := range events {
			if err := stream.Send(wireEvent(clean, e)); err != nil {
				return err
			}
		}
	}
}

func wireEvent(dir string, e runtime.FileEvent) *sandboxv1.FileEvent {
	p := path.Join(dir, e.Path)
	if p == "." {
		p = ""
	}
	return &sandboxv1.FileEvent{Kind: wireOf(fileChanges, e.Change), Path: []byte(p), IsDir: e.Dir}
}
