package tree

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// Open reads a tree from its bytes and keeps them: they must stay as they are
// for as long as the tree and strings from it are used. Any bytes are safe to
// pass; those that Build would not have written are ErrCorrupt.
func Open(data []byte) (*Tree, error) {
	t, err := open(data)
	if err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func open(data []byte) (*Tree, error) {
	if len(data) < headerSize+recordSize || string(data[:len(magic)]) != magic {
		return nil, corrupt("no header")
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != version {
		return nil, corrupt("version %d, want %d", v, version)
	}
	count := binary.LittleEndian.Uint32(data[12:])
	if count == 0 || count > MaxNodes {
		return nil, corrupt("%d nodes", count)
	}
	end := headerSize + uint64(count)*recordSize
	length := binary.LittleEndian.Uint64(data[16:])
	if length > math.MaxUint32 || end+length != uint64(len(data)) {
		return nil, corrupt("%d bytes, want %d and %d of names", len(data), end, length)
	}
	t := &Tree{data: data, nodes: data[headerSize:end], count: count}
	if length > 0 {
		t.names = unsafe.String(&data[end], int(length))
	}
	return t, nil
}

// checker walks the nodes in order. Names and children must lie exactly where
// a breadth-first writer puts them, so running totals prove that every index
// is in range, that no two overlap and that nothing is left over.
type checker struct {
	t        *Tree
	next     Node     // first node that has no parent yet
	names    uint64   // bytes of names used so far
	pathLens []uint16 // by node
	last     Node     // parent of the previous node
}

func (t *Tree) check() error {
	c := checker{t: t, next: 1, pathLens: make([]uint16, t.count)}
	for n := Root; n < t.count; n++ {
		if n >= c.next {
			return corrupt("node %d is in no directory", n)
		}
		if err := c.node(n); err != nil {
			return err
		}
	}
	if c.next != t.count || c.names != uint64(len(t.names)) {
		return corrupt("nodes or names left over")
	}
	return nil
}

func (c *checker) node(n Node) error {
	r := c.t.record(n)
	if r[13]|r[14]|r[15] != 0 || r.mode()&^0o777 != 0 {
		return corrupt("node %d: unknown bits", n)
	}
	if err := c.name(n, r); err != nil {
		return err
	}
	switch r.kind() {
	case File:
		return c.file(n, r)
	case Dir:
		return c.dir(n, r)
	case Symlink:
		return c.symlink(n, r)
	}
	return corrupt("node %d: %v", n, r.kind())
}

// take returns the next bytes of the names if they are where the record says.
func (c *checker) take(at, length uint32) (string, bool) {
	if uint64(at) != c.names || uint64(length) > uint64(len(c.t.names))-c.names {
		return "", false
	}
	c.names += uint64(length)
	return c.t.names[at:][:length], true
}

func (c *checker) name(n Node, r record) error {
	name, ok := c.take(r.u32(offName), uint32(r.nameLen()))
	if !ok {
		return corrupt("node %d: name is out of place", n)
	}
	parent := r.u32(offParent)
	if n == Root {
		if name != "" || parent != Root || r.kind() != Dir || r.mode() != rootMode || r.mtime() != 0 {
			return corrupt("root is not a plain directory")
		}
		return nil
	}
	if err := CheckName(name); err != nil {
		return corrupt("node %d: %v", n, err)
	}
	if parent >= n {
		return corrupt("node %d: parent %d", n, parent)
	}
	if first, end := c.t.Range(parent); n < first || n >= end {
		return corrupt("node %d: not a child of %d", n, parent)
	}
	if parent == c.last && n > 1 && c.t.Name(n-1) >= name {
		return corrupt("node %d: names out of order", n)
	}
	c.last = parent
	length := int(c.pathLens[parent]) + 1 + len(name)
	if length > MaxPath {
		return corrupt("node %d: path of %d bytes", n, length)
	}
	c.pathLens[n] = uint16(length)
	return nil
}

func (c *checker) file(n Node, r record) error {
	if r.size() < 0 || c.t.size > math.MaxInt64-r.size() {
		return corrupt("node %d: size %d", n, r.size())
	}
	c.t.size += r.size()
	c.t.files++
	return nil
}

func (c *checker) dir(n Node, r record) error {
	first, end := r.u32(offFirst), r.u32(offEnd)
	if first != c.next || end < first || end > c.t.count {
		return corrupt("node %d: children %d to %d", n, first, end)
	}
	if r.size() != 0 || !zero(r[offEnd+4:]) {
		return corrupt("node %d: directory with content", n)
	}
	c.next = end
	if n != Root {
		c.t.dirs++
	}
	return nil
}

func (c *checker) symlink(n Node, r record) error {
	target, ok := c.take(r.u32(offTarget), r.u32(offTargetLen))
	if !ok {
		return corrupt("node %d: target is out of place", n)
	}
	if err := checkTarget(target); err != nil {
		return corrupt("node %d: %v", n, err)
	}
	if r.size() != int64(len(target)) || r.mode() != 0o777 || !zero(r[offTargetLen+4:]) {
		return corrupt("node %d: link with content", n)
	}
	c.t.symlinks++
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
