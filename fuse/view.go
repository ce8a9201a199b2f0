package fuse

import (
	"context"
	"os"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Config says what a View shows.
type Config struct {
	// Tree is the snapshot and Policy what may be seen of it.
	Tree   *tree.Tree
	Policy *policy.Policy
	// Objects is the directory that holds file contents by digest. Nothing is
	// ever opened but below it.
	Objects *os.File
	// UID and GID own every entry.
	UID, GID uint32
	// Fault is told why an answer had to be EIO. It may be nil, and is called
	// from many goroutines.
	Fault func(error)
}

// View answers the kernel. It is safe for concurrent use.
type View struct {
	gofuse.RawFileSystem // refuses all that a view does not do

	tree     *tree.Tree
	verdicts *verdicts
	ids      *nodeIDs
	objects  *os.File
	owner    gofuse.Owner
	fault    func(error)
	load     load
}

// New returns a View. It needs no closing.
func New(cfg Config) *View {
	fault := cfg.Fault
	if fault == nil {
		fault = func(error) {}
	}
	return &View{
		RawFileSystem: gofuse.NewDefaultRawFileSystem(),
		tree:          cfg.Tree,
		verdicts:      newVerdicts(cfg.Tree, cfg.Policy),
		ids:           newNodeIDs(),
		objects:       cfg.Objects,
		owner:         gofuse.Owner{Uid: cfg.UID, Gid: cfg.GID},
		fault:         fault,
	}
}

// String names the file system.
func (v *View) String() string { return "workspace" }

// Warm works out the verdict of every visible entry, so that no later request
// has to. It returns early when ctx ends.
func (v *View) Warm(ctx context.Context) {
	queue := []tree.Node{tree.Root}
	for len(queue) > 0 && ctx.Err() == nil {
		dir := queue[0]
		queue = queue[1:]
		l := v.verdicts.list(dir)
		for i := range l.count {
			if n := l.at(i); v.tree.Kind(n) == tree.Dir {
				queue = append(queue, n)
			}
		}
	}
}

// entry is a node that the view shows.
type entry struct {
	node     tree.Node
	standing standing
}

// find returns the entry that the kernel calls id.
func (v *View) find(id uint64) (entry, gofuse.Status) {
	n := v.ids.node(id)
	if int64(n) >= int64(v.tree.Len()) || v.ids.id(n) != id {
		return entry{}, gofuse.ENOENT
	}
	s := v.verdicts.standing(n)
	if !s.visible() {
		return entry{}, gofuse.ENOENT
	}
	return entry{n, s}, gofuse.OK
}

// Lookup finds a name in a directory. A hidden name and one that never existed
// get the same answer.
func (v *View) Lookup(_ <-chan struct{}, header *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	defer v.load.begin().end()
	dir, status := v.find(header.NodeId)
	if !status.Ok() {
		return status
	}
	if len(name) > tree.MaxName {
		return gofuse.Status(syscall.ENAMETOOLONG)
	}
	if n, ok := v.tree.Child(dir.node, name); ok {
		if s := v.verdicts.standing(n); s.visible() {
			hash := v.verdicts.directory(dir.node).hash.child(name)
			v.describe(entry{n, s}, hash.inode(), out)
			return gofuse.OK
		}
	}
	// No node id and a lifetime: the name is missing for ever.
	*out = gofuse.EntryOut{EntryValid: forever}
	return gofuse.OK
}

// GetAttr returns the attributes of an entry.
func (v *View) GetAttr(_ <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	defer v.load.begin().end()
	e, status := v.find(in.NodeId)
	if !status.Ok() {
		return status
	}
	out.AttrValid = forever
	v.attributes(e, v.verdicts.hash(e.node).inode(), &out.Attr)
	return gofuse.OK
}

// Readlink returns the target of a link.
func (v *View) Readlink(_ <-chan struct{}, header *gofuse.InHeader) ([]byte, gofuse.Status) {
	defer v.load.begin().end()
	e, status := v.find(header.NodeId)
	switch {
	case !status.Ok():
		return nil, status
	case v.tree.Kind(e.node) != tree.Symlink:
		return nil, gofuse.EINVAL
	case e.standing != readable:
		return nil, gofuse.EACCES
	}
	return []byte(v.tree.Entry(e.node).Target), gofuse.OK
}

// StatFs answers with constants: overlayfs needs an answer, and a true one
// would count what is hidden.
func (v *View) StatFs(_ <-chan struct{}, _ *gofuse.InHeader, out *gofuse.StatfsOut) gofuse.Status {
	*out = gofuse.StatfsOut{Bsize: blockSize, Frsize: blockSize, NameLen: tree.MaxName}
	return gofuse.OK
}

// The kernel takes these refusals for the whole connection, and does not ask
// again: it opens files and directories by itself.

// Open is not needed.
func (v *View) Open(<-chan struct{}, *gofuse.OpenIn, *gofuse.OpenOut) gofuse.Status {
	return gofuse.ENOSYS
}

// OpenDir is not needed.
func (v *View) OpenDir(<-chan struct{}, *gofuse.OpenIn, *gofuse.OpenOut) gofuse.Status {
	return gofuse.ENOSYS
}

// Flush is not needed.
func (v *View) Flush(<-chan struct{}, *gofuse.FlushIn) gofuse.Status { return gofuse.ENOSYS }

// Access is not needed: the kernel checks the modes.
func (v *View) Access(<-chan struct{}, *gofuse.AccessIn) gofuse.Status { return gofuse.ENOSYS }

// GetXAttr refuses: a view has no extended attributes.
func (v *View) GetXAttr(<-chan struct{}, *gofuse.InHeader, string, []byte) (uint32, gofuse.Status) {
	return 0, gofuse.ENOSYS
}

// ListXAttr refuses, as GetXAttr does.
func (v *View) ListXAttr(<-chan struct{}, *gofuse.InHeader, []byte) (uint32, gofuse.Status) {
	return 0, gofuse.ENOSYS
}

// Forget does nothing: an id is good for ever.
func (v *View) Forget(uint64, uint64) {}

// SetAttr is refused, though no kernel asks on a read-only mount.
func (v *View) SetAttr(<-chan struct{}, *gofuse.SetAttrIn, *gofuse.AttrOut) gofuse.Status {
	return gofuse.EROFS
}
