package fuse

import (
	"errors"
	"fmt"
	"os"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Read returns content of a file. It opens the object anew each time: that is
// little beside the way of a request through the kernel, and a view that keeps
// no files open cannot run out of them.
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
	buf = buf[:min(int64(len(buf)), t.Size-int64(in.Offset))]
	if err := readObject(v.objects, t.Digest, buf, int64(in.Offset)); err != nil {
		v.fault(fmt.Errorf("cannot read object %v: %w", t.Digest, err))
		return nil, gofuse.EIO
	}
	return gofuse.ReadResultData(buf), gofuse.OK
}

// errShort means that an object holds less than its tree says.
var errShort = errors.New("object is too short")

// readObject fills buf from an object, which it opens below dir, through no
// link.
func readObject(dir *os.File, d tree.Digest, buf []byte, offset int64) error {
	hex := d.String()
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat2(int(dir.Fd()), hex[:2]+"/"+hex[2:], &how)
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for len(buf) > 0 {
		n, err := retry(func() (int, error) { return unix.Pread(fd, buf, offset) })
		if err != nil {
			return err
		}
		if n == 0 {
			return errShort
		}
		buf, offset = buf[n:], offset+int64(n)
	}
	return nil
}

// retry calls f again while a signal, or a rename elsewhere, disturbs it.
func retry(f func() (int, error)) (int, error) {
	for tries := 0; ; tries++ {
		n, err := f()
		disturbed := errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN)
		if !disturbed || tries > 100 {
			return n, err
		}
	}
}
