package api

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// What one listing of a codebase takes at most: entries, and bytes of their paths
// and targets.
const (
	maxListing      = 1_000_000
	maxListingBytes = 64 << 20
)

// named is the path of a request: the bytes win over the string.
func named(exact []byte, text string) string {
	if len(exact) > 0 {
		return string(exact)
	}
	return text
}

// UploadFiles stores one file of a codebase.
func (s *Server) UploadFiles(stream grpc.ClientStreamingServer[sandboxv1.UploadChunk, sandboxv1.UploadResult]) error {
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	meta := first.GetMetadata()
	if meta == nil {
		return fail(codes.InvalidArgument, ReasonUnexpectedStep, "the first message must be metadata")
	}
	id, path := meta.GetCodebaseId(), named(meta.GetFilePathBytes(), meta.GetFilePath())
	if err := s.allow(stream.Context(), id); err != nil {
		return err
	}
	if path == "" {
		return missing("file_path")
	}
	if meta.GetTotalSize() < 0 {
		return invalid("total_size", "%d is negative", meta.GetTotalSize())
	}
	up, err := s.cfg.Store.PutFile(id, path, meta.GetMode(), &uploadReader{stream: stream, want: meta.GetTotalSize()})
	if err != nil {
		return translate(err, about{codebase: id}).with(keyPath, path)
	}
	return stream.SendAndClose(&sandboxv1.UploadResult{
		CodebaseId: id, FilePath: valid(up.Path), Size: up.Size, Checksum: up.Digest.String(),
	})
}

// uploadReader reads the data messages of an upload.
type uploadReader struct {
	stream grpc.ClientStreamingServer[sandboxv1.UploadChunk, sandboxv1.UploadResult]
	want   int64 // bytes in all; 0: not said
	have   int64
	data   []byte
}

func (r *uploadReader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		m, err := r.stream.Recv()
		if errors.Is(err, io.EOF) && r.want != 0 && r.have != r.want {
			return 0, invalid("total_size", "%d bytes came, %d were announced", r.have, r.want)
		}
		if err != nil {
			return 0, err
		}
		if m.GetMetadata() != nil {
			return 0, fail(codes.InvalidArgument, ReasonUnexpectedStep, "one file a stream: a second metadata message")
		}
		r.data = m.GetData()
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	r.have += int64(n)
	if r.want != 0 && r.have > r.want {
		return 0, invalid("total_size", "more than the %d bytes that were announced", r.want)
	}
	return n, nil
}

// entry finds a path in a codebase's head. The snapshot is the caller's to
// close.
func (s *Server) entry(ctx context.Context, id, path string) (*store.Snapshot, tree.Node, error) {
	if err := s.allow(ctx, id); err != nil {
		return nil, 0, err
	}
	clean, err := store.CleanPath(path)
	if err != nil {
		return nil, 0, translate(err, about{codebase: id})
	}
	snap, err := s.cfg.Store.Head(id)
	if err != nil {
		return nil, 0, translate(err, about{codebase: id})
	}
	node, ok := snap.Tree().Lookup(clean)
	if !ok {
		snap.Close()
		return nil, 0, fail(codes.NotFound, ReasonFileNotFound, "%s does not exist", rooted(clean)).
			with(keyCodebase, id).with(keyPath, rooted(clean))
	}
	return snap, node, nil
}

// DownloadFile sends one file of a codebase's head.
func (s *Server) DownloadFile(req *sandboxv1.DownloadFileRequest, stream grpc.ServerStreamingServer[sandboxv1.FileChunk]) error {
	path := named(req.GetFilePathBytes(), req.GetFilePath())
	if path == "" {
		return missing("file_path")
	}
	id := req.GetCodebaseId()
	snap, node, err := s.entry(stream.Context(), id, path)
	if err != nil {
		return err
	}
	defer snap.Close()
	e := snap.Tree().Entry(node)
	if e.Kind != tree.File {
		f := notRegular(path).with(keyCodebase, id).with(keyPath, path)
		if e.Kind == tree.Dir {
			f = f.with(keyErrno, "EISDIR")
		}
		return f
	}
	f, err := s.cfg.Store.OpenObject(e.Digest)
	if err != nil {
		return translate(err, about{}).with(keyCodebase, id)
	}
	defer f.Close()
	if err := sendFile(f, stream); err != nil {
		return translate(err, about{codebase: id})
	}
	return nil
}

// ListFiles lists a directory of a codebase's head, or one file.
func (s *Server) ListFiles(ctx context.Context, req *sandboxv1.ListFilesRequest) (*sandboxv1.ListFilesResponse, error) {
	snap, node, err := s.entry(ctx, req.GetCodebaseId(), named(req.GetPathBytes(), req.GetPath()))
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	t := snap.Tree()
	resp := &sandboxv1.ListFilesResponse{}
	if t.Kind(node) != tree.Dir {
		resp.Files = append(resp.Files, wireEntry(t, node))
		return resp, nil
	}
	room := maxListingBytes
	var walk func(tree.Node)
	walk = func(dir tree.Node) {
		first, end := t.Range(dir)
		for n := first; n < end && room >= 0 && len(resp.Files) <= maxListing; n++ {
			e := wireEntry(t, n)
			room -= len(e.GetPathBytes()) + len(e.GetSymlinkTarget())
			resp.Files = append(resp.Files, e)
			if req.GetRecursive() && t.Kind(n) == tree.Dir {
				walk(n)
			}
		}
	}
	if walk(node); room < 0 || len(resp.Files) > maxListing {
		return nil, overLimit("listing", maxListing, "%s has more in it than one listing takes", rooted(t.Path(node)[1:])).
			with(keyCodebase, req.GetCodebaseId())
	}
	return resp, nil
}

func wireEntry(t *tree.Tree, n tree.Node) *sandboxv1.FileInfo {
	e := t.Entry(n)
	return wireFile(t.Path(n)[1:], e.Mode, e.Kind == tree.Dir, e.Size, e.MTime, e.Target)
}
