package ingest

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Bounds on a tree. Going over one is ErrTooLarge.
const (
	MaxEntries   = 1_000_000
	MaxFileSize  = 1 << 40 // bytes of one file of a manifest
	MaxTotalSize = 1 << 42 // bytes of all files of a manifest
)

// Entry is one entry of a manifest.
type Entry struct {
	Path   string // relative to the root, without a leading slash
	Kind   tree.Kind
	Mode   uint32 // permission bits
	Size   int64  // of a file
	MTime  int64  // nanoseconds since the epoch
	Target string // of a link
	// Patterns is the content of an IgnoreFile, if it is known already.
	Patterns []byte
	// Unreadable is set for a directory that cannot be listed.
	Unreadable bool
	// Special is set, in place of a kind, for a socket, device or FIFO.
	Special bool
	// Link is the same for all names of one file, of which there are Links; 0 is
	// for a file with one name.
	Link, Links uint64
}

// manifest is what a client says it has. Positions are those of the entries in
// the order of arrival; directories that are only implied have none.
type manifest struct {
	builder *tree.Builder
	at      map[string]uint32
	total   int64
	texts   map[string][]byte // of IgnoreFiles, by path; at most maxIgnoreTotal
	kept    int               // bytes of them
	locked  map[string]bool   // directories that cannot be listed
	special map[string]bool   // in the tree as links
	links   map[uint64]*names // by number

	tree *tree.Tree
	pos  []int64 // by node; -1 for an implied directory
}

func newManifest() *manifest {
	return &manifest{
		builder: tree.NewBuilder(), at: map[string]uint32{}, texts: map[string][]byte{},
		locked: map[string]bool{}, special: map[string]bool{}, links: map[uint64]*names{},
	}
}

func (m *manifest) add(e Entry) error {
	if len(m.at) >= MaxEntries {
		return fmt.Errorf("%w: more than %d entries", ErrTooLarge, MaxEntries)
	}
	if err := m.check(e); err != nil {
		return err
	}
	if e.Special {
		m.special[e.Path] = true
		e = Entry{Path: e.Path, Kind: tree.Symlink, Target: "."}
	}
	err := m.builder.Add(e.Path, tree.Entry{Kind: e.Kind, Mode: e.Mode, Size: e.Size, MTime: e.MTime, Target: e.Target})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if e.Kind == tree.File {
		m.total += e.Size
	}
	if n := len(e.Patterns); isIgnoreFile(e) && int64(n) == e.Size && m.kept+n <= maxIgnoreTotal {
		m.texts[e.Path] = e.Patterns
		m.kept += n
	}
	if e.Kind == tree.File && e.Link != 0 {
		m.link(e)
	}
	if e.Kind == tree.Dir && e.Unreadable {
		m.locked[e.Path] = true
	}
	m.at[e.Path] = uint32(len(m.at))
	return nil
}

// check refuses what the builder would take: it lets a later entry win.
func (m *manifest) check(e Entry) error {
	if _, twice := m.at[e.Path]; twice {
		return fmt.Errorf("%w: %q comes twice", ErrInvalid, e.Path)
	}
	if strings.HasPrefix(e.Path, "/") {
		return fmt.Errorf("%w: %.200q is not relative", ErrInvalid, e.Path)
	}
	if old, ok := m.builder.Lookup(e.Path); ok && e.Path != "" && (old.Kind != tree.Dir || e.Kind != tree.Dir) {
		return fmt.Errorf("%w: %q has entries below and is no directory", ErrInvalid, e.Path)
	}
	if e.Kind != tree.File {
		return nil
	}
	if e.Size < 0 {
		return fmt.Errorf("%w: size %d of %q", ErrInvalid, e.Size, e.Path)
	}
	if e.Size > MaxFileSize || m.total+e.Size > MaxTotalSize {
		return fmt.Errorf("%w: size %d of %q", ErrTooLarge, e.Size, e.Path)
	}
	if isIgnoreFile(e) && e.Size > maxIgnoreFile {
		return fmt.Errorf("%w: %q has more than %d bytes of patterns", ErrTooLarge, e.Path, maxIgnoreFile)
	}
	return nil
}

func isIgnoreFile(e Entry) bool {
	_, name := splitPath(e.Path)
	return name == IgnoreFile && e.Kind == tree.File
}

func splitPath(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// close ends the collecting and gives every entry a node.
func (m *manifest) close() error {
	t, err := tree.Open(m.builder.Build())
	if err != nil {
		return err
	}
	m.tree, m.pos = t, make([]int64, t.Len())
	for n := range m.pos {
		m.pos[n] = -1
	}
	for path, pos := range m.at {
		n, ok := t.Lookup(path)
		if !ok {
			return fmt.Errorf("%w: %q is not in its own tree", ErrInvalid, path)
		}
		m.pos[n] = int64(pos)
	}
	m.builder, m.at = nil, nil
	return nil
}

// choice is what belongs to the tree, by node.
type choice struct {
	in      []bool
	skipped []Skipped
	open    map[tree.Node]bool // IgnoreFiles that could still decide something
}

// nodeState is what a directory passes on to its entries.
type nodeState struct {
	cursor  policy.Cursor
	ignore  *ignores
	bare    bool
	unknown bool // an IgnoreFile whose content is not known yet holds here
}

// choose applies policy and patterns, parents before children. The content of
// an IgnoreFile that did not come with it comes from patterns; while that is nil,
// what the IgnoreFile could still decide about stays in.
func (m *manifest) choose(ctx context.Context, p *policy.Policy, root *ignores, patterns func(tree.Node) ([]byte, error)) (choice, error) {
	c := choice{in: make([]bool, m.tree.Len()), open: map[tree.Node]bool{}}
	states := make([]nodeState, m.tree.Len())
	out := map[tree.Node]Reason{}
	states[tree.Root] = nodeState{ignore: root}
	if p != nil {
		states[tree.Root].cursor = p.Root()
	}
	c.in[tree.Root] = true
	for n := range tree.Node(m.tree.Len()) {
		if err := ctx.Err(); err != nil {
			return choice{}, err
		}
		if n != tree.Root {
			up := &states[m.tree.Parent(n)]
			if !c.in[m.tree.Parent(n)] {
				continue
			}
			reason := m.enter(n, p, up, &states[n])
			if reason != 0 {
				out[n] = reason
				continue
			}
			c.in[n] = true
		}
		if m.tree.Kind(n) == tree.Dir {
			if err := m.directory(n, p, &states[n], patterns, c.open); err != nil {
				return choice{}, err
			}
		}
	}
	m.leaveOutLinks(&c, p, out)
	m.prune(&c, states, out)
	var all skips
	for n, reason := range out {
		if c.in[m.tree.Parent(n)] {
			all.add(reason, m.path(n))
		}
	}
	c.skipped = all.list()
	return c, nil
}

func (m *manifest) path(n tree.Node) string { return strings.TrimPrefix(m.tree.Path(n), "/") }

// enter decides on one entry of a directory that is in.
func (m *manifest) enter(n tree.Node, p *policy.Policy, up, state *nodeState) Reason {
	name, isDir := m.tree.Name(n), m.tree.Kind(n) == tree.Dir
	*state = nodeState{ignore: up.ignore, unknown: up.unknown}
	if p != nil {
		state.cursor = up.cursor.Child(name)
		state.bare = state.cursor.Verdict().Level == policy.None
		if state.bare && !(isDir && state.cursor.MayReveal()) {
			return Hidden
		}
	}
	path := m.path(n)
	switch {
	case up.unknown && decide(up.ignore.request, path, name, isDir) == ignore:
		return Ignored
	case !up.unknown && up.ignore.ignored(path, name, isDir):
		return Ignored
	case m.special[path]:
		return Special
	}
	return 0
}

// directory looks at a directory that is in: whether it was listed, and what its
// IgnoreFile says.
func (m *manifest) directory(dir tree.Node, p *policy.Policy, state *nodeState, patterns func(tree.Node) ([]byte, error), open map[tree.Node]bool) error {
	if m.locked[m.path(dir)] && !state.unknown {
		return &PathError{"list", m.path(dir), fs.ErrPermission}
	}
	n, ok := m.tree.Child(dir, IgnoreFile)
	if !ok || m.tree.Kind(n) != tree.File {
		return nil
	}
	if p != nil && state.cursor.Child(IgnoreFile).Verdict().Level == policy.None {
		return nil
	}
	content, known := m.texts[m.path(n)]
	if !known && patterns == nil {
		state.unknown, open[n] = true, true
		return nil
	}
	var err error
	if !known {
		content, err = patterns(n)
	}
	if err == nil {
		state.ignore, err = state.ignore.below(m.path(dir), content)
	}
	if err != nil {
		return &PathError{"read", m.path(n), err}
	}
	return nil
}

// prune hides the bare directories that have nothing visible below.
func (m *manifest) prune(c *choice, states []nodeState, out map[tree.Node]Reason) {
	visible := make([]bool, m.tree.Len())
	for n := tree.Node(m.tree.Len()) - 1; n > tree.Root; n-- {
		if c.in[n] && (!states[n].bare || visible[n]) {
			visible[m.tree.Parent(n)] = true
		}
	}
	for n := tree.Node(1); n < tree.Node(m.tree.Len()); n++ {
		if c.in[n] && states[n].bare && !visible[n] {
			c.in[n], out[n] = false, Hidden
		}
	}
}
