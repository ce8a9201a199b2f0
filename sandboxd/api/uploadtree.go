package api

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/ingest"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// positionsPerMessage keeps messages with positions small.
const positionsPerMessage = 1 << 16

type treeStream = grpc.BidiStreamingServer[sandboxv1.UploadTreeRequest, sandboxv1.UploadTreeResponse]

// treeUpload is one UploadTree call.
type treeUpload struct {
	stream treeStream
	up     *ingest.Upload
}

// UploadTree takes a whole tree, and only the content that is not known.
func (s *Server) UploadTree(stream treeStream) error {
	start, err := firstStep(stream)
	if err != nil {
		return err
	}
	id, ctx := start.GetCodebaseId(), stream.Context()
	head, err := s.uploadHead(ctx, id)
	if err != nil {
		return err
	}
	defer head.Close()
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	pol, err := ingestPolicy(start.GetOptions())
	if err != nil {
		return err
	}
	up, err := s.cfg.Ingester.Upload(ingest.UploadRequest{
		Owner: c.UID, Policy: pol, Ignore: start.GetOptions().GetIgnorePatterns(), Known: []*store.Snapshot{head},
	})
	if err != nil {
		return ingestFailed(err, id, "")
	}
	defer up.Close()
	result, err := (&treeUpload{stream, up}).run(ctx)
	if err != nil {
		return ingestFailed(err, id, "")
	}
	wire, err := s.adopt(id, result)
	if err != nil {
		return err
	}
	return stream.Send(&sandboxv1.UploadTreeResponse{Step: &sandboxv1.UploadTreeResponse_Result{Result: wire}})
}

func firstStep(stream treeStream) (*sandboxv1.UploadTreeRequest_Start, error) {
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if first.GetStart() == nil {
		return nil, outOfOrder("start")
	}
	return first.GetStart(), nil
}

// uploadHead returns the head of a codebase that exists for the caller.
func (s *Server) uploadHead(ctx context.Context, id string) (*store.Snapshot, error) {
	if err := s.allow(ctx, id); err != nil {
		return nil, err
	}
	head, err := s.cfg.Store.Head(id)
	if err != nil {
		return nil, translate(err, about{codebase: id})
	}
	return head, nil
}

func outOfOrder(want string) *failure {
	return fail(codes.InvalidArgument, ReasonUnexpectedStep, "the next message must be %s", want)
}

// run goes through the steps.
func (u *treeUpload) run(ctx context.Context) (ingest.Result, error) {
	if err := u.manifest(); err != nil {
		return ingest.Result{}, err
	}
	wanted, err := u.up.Wanted(ctx)
	if err != nil {
		return ingest.Result{}, err
	}
	err = positions(wanted, func(list []uint32, last bool) error {
		return u.stream.Send(&sandboxv1.UploadTreeResponse{Step: &sandboxv1.UploadTreeResponse_Wanted_{
			Wanted: &sandboxv1.UploadTreeResponse_Wanted{Entries: list, Last: last},
		}})
	})
	if err != nil {
		return ingest.Result{}, err
	}
	if err := u.digests(); err != nil {
		return ingest.Result{}, err
	}
	missing, err := u.up.Missing()
	if err != nil {
		return ingest.Result{}, err
	}
	err = positions(missing, func(list []uint32, last bool) error {
		return u.stream.Send(&sandboxv1.UploadTreeResponse{Step: &sandboxv1.UploadTreeResponse_Missing_{
			Missing: &sandboxv1.UploadTreeResponse_Missing{Entries: list, Last: last},
		}})
	})
	if err != nil {
		return ingest.Result{}, err
	}
	if err := u.up.Receive(ctx, u.content); err != nil {
		return ingest.Result{}, err
	}
	return u.up.Finish(ctx)
}

// positions sends a list in messages of bounded size, at least one.
func positions(list []uint32, send func(part []uint32, last bool) error) error {
	for {
		n := min(len(list), positionsPerMessage)
		if err := send(list[:n], n == len(list)); err != nil {
			return err
		}
		if list = list[n:]; len(list) == 0 {
			return nil
		}
	}
}

// next returns the next message. The end of the client's messages is the end
// of the upload, too early.
func (u *treeUpload) next(want string) (*sandboxv1.UploadTreeRequest, error) {
	m, err := u.stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, outOfOrder(want)
	}
	return m, err
}

func (u *treeUpload) manifest() error {
	for {
		m, err := u.next("manifest")
		if err != nil {
			return err
		}
		part := m.GetManifest()
		if part == nil {
			return outOfOrder("manifest")
		}
		for _, e := range part.GetEntries() {
			err := u.up.Add(ingest.Entry{
				Path: string(e.GetPath()), Kind: kinds[e.GetKind()], Mode: e.GetMode(), Size: e.GetSize(),
				MTime: e.GetMtimeNs(), Target: string(e.GetSymlinkTarget()),
				Patterns: e.GetPatterns(), Unreadable: e.GetUnreadable(),
				Link: e.GetLink(), Links: e.GetLinks(),
				Special: e.GetKind() == sandboxv1.TreeEntry_KIND_SPECIAL,
			})
			if err != nil {
				return err
			}
		}
		if part.GetLast() {
			return nil
		}
	}
}

func (u *treeUpload) digests() error {
	for {
		m, err := u.next("digests")
		if err != nil {
			return err
		}
		part := m.GetDigests()
		if part == nil {
			return outOfOrder("digests")
		}
		if err := u.up.AddDigests(part.GetSha256()...); err != nil {
			return err
		}
		if part.GetLast() {
			return nil
		}
	}
}

func (u *treeUpload) content() ([]byte, bool, error) {
	m, err := u.next("content")
	if err != nil {
		return nil, false, err
	}
	part := m.GetContent()
	if part == nil {
		return nil, false, outOfOrder("content")
	}
	return part.GetData(), part.GetEndOfFile(), nil
}
