// Package tree holds an immutable snapshot of a source tree as a value: names,
// modes, sizes, times, link targets and the digests of file contents.
//
// A [Tree] is read straight from its encoded bytes, which may be a mapped
// file. [Open] checks every index, offset, name and order once, so that no
// later call can fail or leave the data, whoever wrote it. The encoding is
// canonical: equal trees have equal bytes, and so the SHA-256 of the bytes
// names the tree. A Tree is safe for concurrent use.
//
// # Layout
//
// Little endian throughout.
//
//	header   magic (8), version (4), nodes (4), length of the names (8)
//	nodes    64 bytes each, in breadth-first order, the root first
//	names    of node 1, 2, ...; a link's target follows its name
//
// The children of a directory are contiguous and sorted bytewise by name.
package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sort"
	"strings"
	"sync"
	"unsafe"
)

// Node is the index of an entry. The root is 0.
type Node = uint32

const (
	// Root is the directory that everything else is below.
	Root Node = 0
	// MaxNodes is the most entries, root included, that a tree may have.
	MaxNodes = 1 << 24
	// MaxName and MaxPath are the longest name, and the longest path with its
	// leading slash, that Linux can use.
	MaxName = 255
	MaxPath = 4095
)

var (
	// ErrCorrupt is what Open returns for bytes that are no tree.
	ErrCorrupt = errors.New("not a valid tree")
	// ErrPath means that a path cannot name an entry of a tree.
	ErrPath = errors.New("invalid path")
	// ErrNotDirectory means that a parent of a path is no directory.
	ErrNotDirectory = errors.New("parent is not a directory")
	// ErrEntry means that an entry's attributes cannot be stored.
	ErrEntry = errors.New("invalid entry")
	// ErrTooLarge means that a tree would have more than MaxNodes entries or
	// more than 4 GiB of names.
	ErrTooLarge = errors.New("tree is too large")
)

// Tree is a snapshot. Only Open makes one.
type Tree struct {
	data  []byte // all of it
	nodes []byte // the records
	names string // aliases data
	count uint32

	files, dirs, symlinks int
	size                  int64

	digestOnce sync.Once
	digest     Digest
}

// Len returns the number of nodes, root included. Nodes are 0 to Len()-1.
func (t *Tree) Len() int { return int(t.count) }

// Files returns the number of regular files.
func (t *Tree) Files() int { return t.files }

// Symlinks returns the number of symbolic links.
func (t *Tree) Symlinks() int { return t.symlinks }

// Dirs returns the number of directories, without the root.
func (t *Tree) Dirs() int { return t.dirs }

// Size returns the bytes of all regular files together.
func (t *Tree) Size() int64 { return t.size }

// Data returns the bytes that the tree was opened from. They must not be
// changed.
func (t *Tree) Data() []byte { return t.data }

// Digest returns the SHA-256 of Data. It is computed once.
func (t *Tree) Digest() Digest {
	t.digestOnce.Do(func() { t.digest = sha256.Sum256(t.data) })
	return t.digest
}

// Entry returns all attributes of a node. Its strings alias Data.
func (t *Tree) Entry(n Node) Entry {
	r := t.record(n)
	e := Entry{Name: t.Name(n), Kind: r.kind(), Mode: r.mode(), Size: r.size(), MTime: r.mtime()}
	switch e.Kind {
	case File:
		e.Digest = Digest(r[offDigest:recordSize])
	case Symlink:
		e.Target = t.names[r.u32(offTarget):][:r.u32(offTargetLen)]
	}
	return e
}

// Kind returns the kind of a node.
func (t *Tree) Kind(n Node) Kind { return t.record(n).kind() }

// Name returns the name of a node; the root's is empty. It aliases Data.
func (t *Tree) Name(n Node) string {
	r := t.record(n)
	return t.names[r.u32(offName):][:r.nameLen()]
}

// Parent returns the directory that holds a node; the root is its own parent.
func (t *Tree) Parent(n Node) Node { return t.record(n).u32(offParent) }

// Range returns the children of a directory: first to end-1. It is empty for
// anything else.
func (t *Tree) Range(dir Node) (first, end Node) {
	r := t.record(dir)
	if r.kind() != Dir {
		return 0, 0
	}
	return r.u32(offFirst), r.u32(offEnd)
}

// Child finds a name in a directory.
func (t *Tree) Child(dir Node, name string) (Node, bool) {
	first, end := t.Range(dir)
	n := first + Node(sort.Search(int(end-first), func(i int) bool {
		return t.Name(first+Node(i)) >= name
	}))
	if n < end && t.Name(n) == name {
		return n, true
	}
	return 0, false
}

// Lookup finds a path, with or without a leading slash. Empty components and
// "." and ".." name nothing, but "" and "/" are the root. Links are not
// followed.
func (t *Tree) Lookup(path string) (Node, bool) {
	path = strings.TrimPrefix(path, "/")
	n := Root
	for path != "" {
		name, rest, more := strings.Cut(path, "/")
		if more && rest == "" {
			return 0, false
		}
		child, ok := t.Child(n, name)
		if !ok {
			return 0, false
		}
		n, path = child, rest
	}
	return n, true
}

// Path returns the path of a node with a leading slash; the root is "/".
func (t *Tree) Path(n Node) string {
	if n == Root {
		return "/"
	}
	length := 0
	for m := n; m != Root; m = t.Parent(m) {
		length += 1 + len(t.Name(m))
	}
	buf := make([]byte, length)
	for m := n; m != Root; m = t.Parent(m) {
		name := t.Name(m)
		length -= len(name)
		copy(buf[length:], name)
		length--
		buf[length] = '/'
	}
	return unsafe.String(unsafe.SliceData(buf), len(buf))
}

// Children calls yield for each child of a directory in order of name, until
// it returns false.
func (t *Tree) Children(dir Node, yield func(node Node, name string, isDir bool) bool) {
	first, end := t.Range(dir)
	for n := first; n < end; n++ {
		if !yield(n, t.Name(n), t.Kind(n) == Dir) {
			return
		}
	}
}

const (
	headerSize = 24
	recordSize = 64
	version    = 1
	magic      = "AFTREE\r\n"

	offName      = 0  // uint32, into the names
	offNameLen   = 4  // uint16
	offMode      = 6  // uint16
	offParent    = 8  // uint32
	offKind      = 12 // uint8, then three zero bytes
	offSize      = 16 // int64
	offMTime     = 24 // int64
	offDigest    = 32 // of a file
	offFirst     = 32 // of a directory, uint32
	offEnd       = 36 // of a directory, uint32
	offTarget    = 32 // of a link, uint32, into the names
	offTargetLen = 36 // of a link, uint32
)

type record []byte

func (t *Tree) record(n Node) record {
	at := int(n) * recordSize
	return record(t.nodes[at : at+recordSize : at+recordSize])
}

func (r record) u32(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
func (r record) kind() Kind        { return Kind(r[offKind]) }
func (r record) nameLen() uint16   { return binary.LittleEndian.Uint16(r[offNameLen:]) }
func (r record) mode() uint32      { return uint32(binary.LittleEndian.Uint16(r[offMode:])) }
func (r record) size() int64       { return int64(binary.LittleEndian.Uint64(r[offSize:])) }
func (r record) mtime() int64      { return int64(binary.LittleEndian.Uint64(r[offMTime:])) }
