package tree

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	rootMode   = 0o755
	parentMode = 0o755
)

// Builder collects entries and writes a tree. It is not safe for concurrent
// use.
type Builder struct {
	root  *builderNode
	nodes int   // root included
	names int64 // bytes of names and targets
	size  int64 // bytes of files

	lastDir  string // directory of the latest Add, as written there
	lastNode *builderNode
}

type builderNode struct {
	Entry
	children map[string]*builderNode // of a directory; nil is empty
}

// NewBuilder returns a Builder that holds the root alone.
func NewBuilder() *Builder {
	return &Builder{root: &builderNode{Entry: Entry{Kind: Dir, Mode: rootMode}}, nodes: 1}
}

// From returns a Builder that holds what t holds, and shares no memory with it.
func From(t *Tree) *Builder {
	b := NewBuilder()
	copied := &Tree{nodes: t.nodes, names: strings.Clone(t.names)}
	all := make([]builderNode, t.count)
	b.root = &all[Root]
	for n := Root; n < t.count; n++ {
		all[n].Entry = copied.Entry(n)
		if first, end := t.Range(n); end > first {
			all[n].children = make(map[string]*builderNode, end-first)
		}
		if n != Root {
			all[t.Parent(n)].children[all[n].Name] = &all[n]
		}
	}
	b.nodes, b.names, b.size = t.Len(), int64(len(t.names)), t.size
	return b
}

// Len returns the number of entries, root included.
func (b *Builder) Len() int { return b.nodes }

// Add puts an entry at a path, with or without a leading slash; e.Name is not
// used. Missing parents are made with mode 0755. The latest Add of a path
// wins: a directory added over a directory changes its attributes and keeps
// what is in it, anything else takes the place of what was there and below.
//
// The error is ErrPath, ErrNotDirectory, ErrEntry or ErrTooLarge, and then
// nothing has changed but parents made on the way.
func (b *Builder) Add(path string, e Entry) error {
	rel := strings.TrimPrefix(path, "/")
	if len(rel)+1 > MaxPath {
		return fmt.Errorf("%w: %d bytes, at most %d are possible", ErrPath, len(rel)+1, MaxPath)
	}
	dirPath, name := "", rel
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		dirPath, name = rel[:i], rel[i+1:]
		if i == 0 {
			name = ""
		}
	}
	if err := CheckName(name); err != nil {
		return fmt.Errorf("cannot add %q: %w", path, err)
	}
	e, err := e.normal()
	if err != nil {
		return fmt.Errorf("cannot add %q: %w", path, err)
	}
	dir, err := b.dir(dirPath)
	if err != nil {
		return fmt.Errorf("cannot add %q: %w", path, err)
	}
	e.Name = name
	if err := b.put(dir, e); err != nil {
		return fmt.Errorf("cannot add %q: %w", path, err)
	}
	return nil
}

// dir returns the directory at a path and makes what is missing.
func (b *Builder) dir(path string) (*builderNode, error) {
	if path == b.lastDir && b.lastNode != nil {
		return b.lastNode, nil
	}
	node := b.root
	for rest := path; rest != ""; {
		name, more, found := strings.Cut(rest, "/")
		if found && more == "" {
			return nil, fmt.Errorf("%w: empty component", ErrPath)
		}
		rest = more
		child := node.children[name]
		if child == nil {
			if err := CheckName(name); err != nil {
				return nil, err
			}
			if err := b.put(node, Entry{Name: name, Kind: Dir, Mode: parentMode}); err != nil {
				return nil, err
			}
			child = node.children[name]
		}
		if child.Kind != Dir {
			return nil, fmt.Errorf("%w: %q", ErrNotDirectory, name)
		}
		node = child
	}
	b.lastDir, b.lastNode = path, node
	return node, nil
}

func (b *Builder) put(dir *builderNode, e Entry) error {
	old := dir.children[e.Name]
	names := b.names + int64(len(e.Name)+len(e.Target))
	if b.nodes >= MaxNodes && old == nil || names > math.MaxUint32 || e.Size > math.MaxInt64-b.size {
		return ErrTooLarge
	}
	if old != nil {
		if old.Kind == Dir && e.Kind == Dir {
			old.Mode, old.MTime = e.Mode, e.MTime
			return nil
		}
		b.drop(old)
	}
	if dir.children == nil {
		dir.children = make(map[string]*builderNode)
	}
	dir.children[e.Name] = &builderNode{Entry: e}
	b.count(e, 1)
	return nil
}

func (b *Builder) count(e Entry, by int) {
	b.nodes += by
	b.names += int64(by) * int64(len(e.Name)+len(e.Target))
	if e.Kind == File {
		b.size += int64(by) * e.Size
	}
}

// drop takes a node and everything below it out of the totals.
func (b *Builder) drop(node *builderNode) {
	b.lastNode = nil
	for todo := []*builderNode{node}; len(todo) > 0; {
		node := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		b.count(node.Entry, -1)
		for _, child := range node.children {
			todo = append(todo, child)
		}
	}
}

// Remove takes an entry and everything below it away. A path that is not there
// is no error; the root stays.
func (b *Builder) Remove(path string) {
	dir, name := b.find(path)
	if dir == nil {
		return
	}
	if node := dir.children[name]; node != nil {
		b.drop(node)
		delete(dir.children, name)
	}
}

// Lookup returns the entry at a path. The root is found as "" and "/".
func (b *Builder) Lookup(path string) (Entry, bool) {
	if strings.TrimPrefix(path, "/") == "" {
		return b.root.Entry, true
	}
	dir, name := b.find(path)
	if dir == nil || dir.children[name] == nil {
		return Entry{}, false
	}
	return dir.children[name].Entry, true
}

// find returns the directory that would hold a path, or nil, and the last
// name.
func (b *Builder) find(path string) (*builderNode, string) {
	node, rest := b.root, strings.TrimPrefix(path, "/")
	for {
		name, more, found := strings.Cut(rest, "/")
		if !found {
			return node, name
		}
		if node = node.children[name]; node == nil {
			return nil, ""
		}
		rest = more
	}
}

// Build returns the encoded tree. The Builder can be used further.
func (b *Builder) Build() []byte {
	data := make([]byte, headerSize+b.nodes*recordSize, int64(headerSize+b.nodes*recordSize)+b.names)
	copy(data, magic)
	binary.LittleEndian.PutUint32(data[8:], version)
	binary.LittleEndian.PutUint32(data[12:], uint32(b.nodes))
	binary.LittleEndian.PutUint64(data[16:], uint64(b.names))
	w := writer{data: data, start: len(data)}

	order := make([]*builderNode, 1, b.nodes)
	parents := make([]Node, 1, b.nodes)
	order[0] = b.root
	for n := 0; n < len(order); n++ {
		node := order[n]
		first := len(order)
		for _, child := range node.children {
			order = append(order, child)
			parents = append(parents, Node(n))
		}
		slices.SortFunc(order[first:], func(x, y *builderNode) int { return strings.Compare(x.Name, y.Name) })
		w.node(n, node.Entry, parents[n], Node(first), Node(len(order)))
	}
	return w.data
}

type writer struct {
	data  []byte
	start int // of the names
}

func (w *writer) node(n int, e Entry, parent, first, end Node) {
	r := w.data[headerSize+n*recordSize:][:recordSize]
	le := binary.LittleEndian
	le.PutUint32(r[offName:], uint32(len(w.data)-w.start))
	le.PutUint16(r[offNameLen:], uint16(len(e.Name)))
	le.PutUint16(r[offMode:], uint16(e.Mode))
	le.PutUint32(r[offParent:], parent)
	r[offKind] = byte(e.Kind)
	le.PutUint64(r[offSize:], uint64(e.Size))
	le.PutUint64(r[offMTime:], uint64(e.MTime))
	switch e.Kind {
	case File:
		copy(r[offDigest:], e.Digest[:])
	case Dir:
		le.PutUint32(r[offFirst:], first)
		le.PutUint32(r[offEnd:], end)
	case Symlink:
		le.PutUint32(r[offTarget:], uint32(len(w.data)-w.start+len(e.Name)))
		le.PutUint32(r[offTargetLen:], uint32(len(e.Target)))
	}
	w.data = append(w.data, e.Name...)
	w.data = append(w.data, e.Target...)
}
