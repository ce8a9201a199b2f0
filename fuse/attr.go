package fuse

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const (
	// forever is the lifetime of every answer, in seconds.
	forever = 1 << 32
	// generation is constant, since no id is ever used twice.
	generation = 1
	blockSize  = 4096
	// A directory's real size and time change with its hidden children, so
	// all directories have these: one block, and 2000-01-01 00:00:00 UTC.
	dirSize  = 4096
	dirMTime = 946684800
	second   = 1e9
)

// describe fills the answer that introduces an entry to the kernel.
func (v *View) describe(e entry, inode uint64, out *gofuse.EntryOut) {
	out.NodeId = v.ids.id(e.node)
	out.Generation = generation
	out.EntryValid = forever
	out.AttrValid = forever
	out.EntryValidNsec, out.AttrValidNsec = 0, 0
	v.attributes(e, inode, &out.Attr)
}

func (v *View) attributes(e entry, inode uint64, out *gofuse.Attr) {
	t := v.tree.Entry(e.node)
	*out = gofuse.Attr{
		Ino:     inode,
		Mode:    mode(t, e.standing),
		Nlink:   1,
		Owner:   v.owner,
		Blksize: blockSize,
	}
	seconds, nanos := int64(dirMTime), int64(0)
	if t.Kind == tree.Dir {
		out.Size = dirSize
	} else {
		out.Size = uint64(t.Size)
		seconds, nanos = t.MTime/second, t.MTime%second
		if nanos < 0 {
			seconds, nanos = seconds-1, nanos+second
		}
	}
	out.Blocks = (out.Size + 511) / 512
	out.Atime, out.Mtime, out.Ctime = uint64(seconds), uint64(seconds), uint64(seconds)
	out.Atimensec, out.Mtimensec, out.Ctimensec = uint32(nanos), uint32(nanos), uint32(nanos)
}

func mode(t tree.Entry, s standing) uint32 {
	switch {
	case t.Kind == tree.Symlink:
		return syscall.S_IFLNK | 0o777
	case t.Kind == tree.Dir && s == readable:
		return syscall.S_IFDIR | t.Mode&0o777
	case t.Kind == tree.Dir:
		return syscall.S_IFDIR | 0o555
	case s == readable:
		return syscall.S_IFREG | t.Mode&0o777
	}
	return syscall.S_IFREG
}

// fileType returns the type bits alone.
func fileType(k tree.Kind) uint32 {
	switch k {
	case tree.Dir:
		return syscall.S_IFDIR
	case tree.Symlink:
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}
