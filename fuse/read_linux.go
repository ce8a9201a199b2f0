package fuse

import (
	"fmt"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// wholeFile is the size up to which a file is opened, read and closed at once.
// The kernel fetches files of this size by a single request.
const wholeFile = 128 << 10

// Read returns content of a file.
func (v *View) Read(_ <-chan struct{}, in *gofuse.ReadIn, buf []byte) (gofuse.ReadResult, gofuse.Status) {
	defer v.load.begin().end()
	e, status := v.find(in.NodeId)
	if !status.Ok() {
		return nil, status
	}
	t := v.tree.Entry(e.node)
	switch {
	case t.Kind != tree.File:
		return nil, gofuse.Status(unix.EISDIR)
	case e.standing != readable:
		return nil, gofuse.EACCES
	case in.Offset >= uint64(t.Size):
		return gofuse.ReadResultData(nil), gofuse.OK
	}
	offset := int64(in.Offset)
	want := int(min(int64(len(buf)), t.Size-offset))
	object, err := v.objects.acquire(t.Digest, t.Size)
	if err != nil {
		return nil, v.failed(err)
	}
	if t.Size > wholeFile {
		return &spliced{object, v.objects, offset, want}, gofuse.OK
	}
	defer v.objects.release(object)
	if err := object.readAt(buf[:want], offset); err != nil {
		return nil, v.failed(err)
	}
	return gofuse.ReadResultData(buf[:want]), gofuse.OK
}

// spliced is a reply whose content goes from the object to the kernel without
// a detour. It holds the object open until the reply has been sent.
type spliced struct {
	object  *object
	objects *objects
	offset  int64
	size    int
}

// Seekable tells the library where to splice from.
func (s *spliced) Seekable() (fd uintptr, offset int64, size int) {
	return uintptr(s.object.fd), s.offset, s.size
}

// Bytes reads the content where splicing does not work.
func (s *spliced) Bytes(buf []byte) ([]byte, gofuse.Status) {
	buf = buf[:min(len(buf), s.size)]
	if err := s.object.readAt(buf, s.offset); err != nil {
		return nil, gofuse.EIO
	}
	return buf, gofuse.OK
}

// Size returns how much content there is.
func (s *spliced) Size() int { return s.size }

// Done lets go of the object.
func (s *spliced) Done() { s.objects.release(s.object) }

// readAt fills buf; that an object ends early is an error.
func (o *object) readAt(buf []byte, offset int64) error {
	for len(buf) > 0 {
		n, err := unix.Pread(o.fd, buf, offset)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("cannot read object %v: %w", o.digest, err)
		case n == 0:
			return fmt.Errorf("object %v ends at %d", o.digest, offset)
		}
		buf, offset = buf[n:], offset+int64(n)
	}
	return nil
}
