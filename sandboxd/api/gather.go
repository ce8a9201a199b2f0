package api

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// gathered is the content of a file that a client sends. It is all there before
// the file is touched, so that a client that goes away in the middle changes
// nothing.
type gathered struct {
	last []byte   // what has not been put into rest yet
	rest *os.File // nil as long as one message holds all
	size int64
}

// gather receives content up to its end, at most a number of bytes.
func (s *Server) gather(stream grpc.ClientStreamingServer[sandboxv1.WriteFileRequest, sandboxv1.FileInfo], most int64) (_ *gathered, err error) {
	g := &gathered{}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return g, stream.Context().Err()
		}
		if err != nil {
			return nil, err
		}
		if m.GetStart() != nil {
			return nil, fail(codes.InvalidArgument, ReasonUnexpectedStep, "a second start")
		}
		if err := s.add(g, m.GetData(), most); err != nil {
			return nil, err
		}
	}
}

func (s *Server) add(g *gathered, data []byte, most int64) error {
	if g.size += int64(len(data)); g.size > most {
		return unix.ENOSPC
	}
	if g.last == nil {
		g.last = data
		return nil
	}
	if g.rest == nil {
		var err error
		if g.rest, err = s.cfg.Store.Scratch(); err != nil {
			return err
		}
	}
	_, err := g.rest.Write(g.last)
	g.last = data
	return err
}

// writeTo writes the content to a file.
func (g *gathered) writeTo(f *os.File) error {
	if g.rest != nil {
		if _, err := g.rest.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(f, g.rest); err != nil {
			return err
		}
	}
	_, err := f.Write(g.last)
	return err
}

func (g *gathered) close() {
	if g.rest != nil {
		g.rest.Close()
	}
}
