package fuse

import (
	"os"
	"path/filepath"
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const owner = 200_000

// fixture collects a snapshot and its contents.
type fixture struct {
	t       testing.TB
	builder *tree.Builder
	objects string
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	return &fixture{t: t, builder: tree.NewBuilder(), objects: t.TempDir()}
}

func (f *fixture) add(path string, e tree.Entry) *fixture {
	f.t.Helper()
	if e.MTime == 0 {
		e.MTime = 1_700_000_000_123_456_789
	}
	if err := f.builder.Add(path, e); err != nil {
		f.t.Fatalf("Add(%q): %v", path, err)
	}
	return f
}

func (f *fixture) file(path, content string, mode uint32) *fixture {
	f.t.Helper()
	return f.add(path, tree.Entry{Kind: tree.File, Mode: mode, Size: int64(len(content)), Digest: f.object(content)})
}

func (f *fixture) object(content string) tree.Digest {
	f.t.Helper()
	d := tree.Sum([]byte(content))
	name := filepath.Join(f.objects, d.String()[:2], d.String()[2:])
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *fixture) dir(path string, mode uint32) *fixture {
	f.t.Helper()
	return f.add(path, tree.Entry{Kind: tree.Dir, Mode: mode})
}

func (f *fixture) link(path, target string) *fixture {
	f.t.Helper()
	return f.add(path, tree.Entry{Kind: tree.Symlink, Target: target})
}

func (f *fixture) tree() *tree.Tree {
	f.t.Helper()
	t, err := tree.Open(f.builder.Build())
	if err != nil {
		f.t.Fatal(err)
	}
	return t
}

// view returns a View of what was added, under the rules.
func (f *fixture) view(rules ...string) *View {
	f.t.Helper()
	return viewOf(f.t, f.tree(), f.objects, compile(f.t, rules...))
}

func viewOf(t testing.TB, snapshot *tree.Tree, objects string, p *policy.Policy) *View {
	t.Helper()
	dir, err := os.Open(objects)
	if err != nil {
		t.Fatal(err)
	}
	v := New(Config{Tree: snapshot, Policy: p, Objects: dir, UID: owner, GID: owner})
	t.Cleanup(func() { dir.Close() })
	return v
}

func compile(t testing.TB, specs ...string) *policy.Policy {
	t.Helper()
	var rules []policy.Rule
	for _, spec := range specs {
		r, err := policy.ParseRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lookup walks the components from the root; id 0 is a name that is missing.
func lookup(t testing.TB, v *View, names ...string) gofuse.EntryOut {
	t.Helper()
	out := gofuse.EntryOut{NodeId: rootID}
	for _, name := range names {
		header := gofuse.InHeader{NodeId: out.NodeId}
		out = gofuse.EntryOut{}
		if status := v.Lookup(nil, &header, name, &out); !status.Ok() {
			t.Fatalf("Lookup(%q of %q) = %v", name, names, status)
		}
		if out.EntryValid != forever {
			t.Fatalf("Lookup(%q) is valid for %d s", name, out.EntryValid)
		}
		if out.NodeId == 0 {
			return out
		}
	}
	return out
}

// dirEntry is one answer of READDIR or READDIRPLUS.
type dirEntry struct {
	gofuse.DirEntry
	out gofuse.EntryOut
}

// readDir reads a whole directory with replies of size bytes.
func readDir(t testing.TB, v *View, id uint64, size int, plus bool) []dirEntry {
	t.Helper()
	var all []dirEntry
	offset := uint64(0)
	for {
		buf := make([]byte, size)
		in := gofuse.ReadIn{InHeader: gofuse.InHeader{NodeId: id}, Offset: offset, Size: uint32(size)}
		out := gofuse.NewDirEntryList(buf, offset)
		status := v.ReadDir
		if plus {
			status = v.ReadDirPlus
		}
		if s := status(nil, &in, out); !s.Ok() {
			t.Fatalf("reading directory %d at %d: %v", id, offset, s)
		}
		batch := parse(t, out.Bytes(), plus)
		if len(batch) == 0 {
			return all
		}
		all = append(all, batch...)
		offset = batch[len(batch)-1].Off
	}
}

func parse(t testing.TB, data []byte, plus bool) []dirEntry {
	t.Helper()
	var entries []gofuse.DirEntry
	var outs []gofuse.EntryOut
	var err error
	if plus {
		entries, outs, err = gofuse.ParseDirLookupEntries(data)
	} else {
		entries, err = gofuse.ParseDirEntries(data)
		outs = make([]gofuse.EntryOut, len(entries))
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []dirEntry
	for i := range entries {
		all = append(all, dirEntry{entries[i], outs[i]})
	}
	return all
}

// read returns what READ answers.
func read(t testing.TB, v *View, id, offset uint64, size int) ([]byte, gofuse.Status) {
	t.Helper()
	buf := make([]byte, size)
	in := gofuse.ReadIn{InHeader: gofuse.InHeader{NodeId: id}, Offset: offset, Size: uint32(size)}
	result, status := v.Read(nil, &in, buf)
	if !status.Ok() {
		return nil, status
	}
	defer result.Done()
	data, status := result.Bytes(buf)
	if len(data) != result.Size() {
		t.Errorf("READ of %d at %d announces %d bytes, holds %d", id, offset, result.Size(), len(data))
	}
	return append([]byte(nil), data...), status
}
