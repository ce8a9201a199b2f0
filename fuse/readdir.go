package fuse

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// dots is the number of entries before the first child: "." and "..".
const dots = 2

// ReadDir lists a directory from an offset, which is a position among what is
// visible.
func (v *View) ReadDir(_ <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	defer v.load.begin().end()
	return v.readDir(in, func(_ entry, d gofuse.DirEntry) bool {
		return out.AddDirEntry(d)
	})
}

// ReadDirPlus is ReadDir with the attributes of each child.
func (v *View) ReadDirPlus(_ <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	defer v.load.begin().end()
	return v.readDir(in, func(e entry, d gofuse.DirEntry) bool {
		answer := out.AddDirLookupEntry(d)
		if answer == nil {
			return false
		}
		if d.Off > dots { // the kernel knows the dots, and wants no more of them
			v.describe(e, d.Ino, answer)
		}
		return true
	})
}

// readDir passes the entries from in.Offset on to add, until it returns false.
func (v *View) readDir(in *gofuse.ReadIn, add func(entry, gofuse.DirEntry) bool) gofuse.Status {
	dir, status := v.find(in.NodeId)
	if !status.Ok() {
		return status
	}
	if v.tree.Kind(dir.node) != tree.Dir {
		return gofuse.ENOTDIR
	}
	l := v.verdicts.list(dir.node)
	hash := v.verdicts.directory(dir.node).hash
	for at := in.Offset; at < uint64(l.count+dots); at++ {
		e, d := dir, gofuse.DirEntry{Mode: syscall.S_IFDIR, Off: at + 1}
		switch at {
		case 0:
			d.Name, d.Ino = ".", v.verdicts.hash(dir.node).inode()
		case 1:
			d.Name, d.Ino = "..", v.verdicts.hash(v.tree.Parent(dir.node)).inode()
		default:
			n := l.at(int(at - dots))
			e = entry{n, v.verdicts.standing(n)}
			d.Name = v.tree.Name(n)
			d.Mode = fileType(v.tree.Kind(n))
			d.Ino = hash.child(d.Name).inode()
		}
		if !add(e, d) {
			break
		}
	}
	return gofuse.OK
}
