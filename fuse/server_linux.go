package fuse

import (
	"fmt"
	"io"
	"log"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// maxRequest is the most that one request reads.
const maxRequest = 1 << 20

// Server is a View at work on one connection.
type Server struct {
	server *gofuse.Server
}

// Connect greets the kernel over the open /dev/fuse descriptor of an existing
// mount, and takes the descriptor over. It blocks until the kernel answers,
// and fails if the mount is gone.
func (v *View) Connect(fd int) (*Server, error) {
	server, err := gofuse.NewServer(v, fmt.Sprintf("/dev/fd/%d", fd), v.options())
	if err != nil {
		return nil, fmt.Errorf("cannot serve the view: %w", err)
	}
	return &Server{server}, nil
}

// Serve answers requests until the connection ends: with the last mount of it,
// or by an abort.
func (s *Server) Serve() { s.server.Serve() }

func (v *View) options() *gofuse.MountOptions {
	return &gofuse.MountOptions{
		MaxWrite:                 maxRequest,
		MaxReadAhead:             maxRequest,
		MaxBackground:            64,
		EnableSymlinkCaching:     true,
		ExplicitDataCacheControl: true,
		DisableXAttrs:            true,
		DisableSplice:            true, // measured: no faster, and it needs pipes and /dev/null
		ExtraCapabilities:        gofuse.CAP_NO_OPENDIR_SUPPORT | gofuse.CAP_NO_EXPORT_SUPPORT,
		Logger:                   log.New(io.Discard, "", 0),
		PanicHandler: func(reason any) gofuse.Status {
			v.fault(fmt.Errorf("panic: %v", reason))
			return gofuse.EIO
		},
	}
}
