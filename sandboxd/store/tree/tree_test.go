package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func file(content string) Entry {
	return Entry{Kind: File, Mode: 0o644, Size: int64(len(content)), MTime: 1, Digest: Sum([]byte(content))}
}

func mustAdd(t testing.TB, b *Builder, path string, e Entry) {
	t.Helper()
	if err := b.Add(path, e); err != nil {
		t.Fatalf("Add(%q) = %v", path, err)
	}
}

func mustOpen(t testing.TB, b *Builder) *Tree {
	t.Helper()
	tree, err := Open(b.Build())
	if err != nil {
		t.Fatalf("Open(Build()) = %v", err)
	}
	return tree
}

func sample(t testing.TB) *Builder {
	b := NewBuilder()
	mustAdd(t, b, "/a/b/c.txt", file("hello"))
	mustAdd(t, b, "a/z", Entry{Kind: Symlink, Target: "../x\xff"})
	mustAdd(t, b, "a.txt", file(""))
	mustAdd(t, b, "empty", Entry{Kind: Dir, Mode: 0o700, MTime: -5})
	return b
}

func TestEntriesComeBackAsAdded(t *testing.T) {
	tree := mustOpen(t, sample(t))
	var got []string
	for n := range Node(tree.Len()) {
		e := tree.Entry(n)
		got = append(got, fmt.Sprintf("%s %v %o %d %d %q", tree.Path(n), e.Kind, e.Mode, e.Size, e.MTime, e.Target))
		if at, ok := tree.Lookup(tree.Path(n)); !ok || at != n {
			t.Errorf("Lookup(%q) = %d, %v, want %d", tree.Path(n), at, ok, n)
		}
	}
	want := []string{
		`/ directory 755 0 0 ""`, `/a directory 755 0 0 ""`, `/a.txt file 644 0 1 ""`, `/empty directory 700 0 -5 ""`,
		`/a/b directory 755 0 0 ""`, `/a/z symlink 777 5 0 "../x\xff"`, `/a/b/c.txt file 644 5 1 ""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if tree.Files() != 2 || tree.Symlinks() != 1 || tree.Dirs() != 3 || tree.Size() != 5 {
		t.Errorf("totals are %d files, %d links, %d dirs, %d bytes", tree.Files(), tree.Symlinks(), tree.Dirs(), tree.Size())
	}
	for _, path := range []string{"a/b/", "//a", "a//b", "a/b/c.txt/d", "nope", "a/./b", "a/.."} {
		if n, ok := tree.Lookup(path); ok {
			t.Errorf("Lookup(%q) = %d", path, n)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxName)
	deep := strings.Repeat("/"+long, 15) // 3,840 bytes
	for name, tt := range map[string]struct {
		path string
		e    Entry
		want error
	}{
		"the root":                     {"/", Entry{Kind: Dir}, ErrPath},
		"the empty path":               {"", file("x"), ErrPath},
		"dot":                          {"a/./b", file("x"), ErrPath},
		"dot dot":                      {"../b", file("x"), ErrPath},
		"dot dot last":                 {"q/..", file("x"), ErrPath},
		"an empty component":           {"a//b", file("x"), ErrPath},
		"two leading slashes":          {"//b", file("x"), ErrPath},
		"a trailing slash":             {"b/", Entry{Kind: Dir}, ErrPath},
		"NUL":                          {"a\x00b", file("x"), ErrPath},
		"NUL in a parent":              {"a\x00b/c", file("x"), ErrPath},
		"a name of 256 bytes":          {long + "x", file("x"), ErrPath},
		"a path of 4096 bytes":         {deep + "/" + long, file("x"), ErrPath},
		"a child of a file":            {"a.txt/b", file("x"), ErrNotDirectory},
		"a child of a link":            {"a/z/b", file("x"), ErrNotDirectory},
		"no kind":                      {"b", Entry{}, ErrEntry},
		"a negative size":              {"b", Entry{Kind: File, Size: -1}, ErrEntry},
		"a setuid bit":                 {"b", Entry{Kind: File, Mode: 0o4755}, ErrEntry},
		"a link to nowhere":            {"b", Entry{Kind: Symlink}, ErrEntry},
		"a link with NUL":              {"b", Entry{Kind: Symlink, Target: "\x00"}, ErrEntry},
		"a link of 4096 bytes":         {"b", Entry{Kind: Symlink, Target: strings.Repeat("x", 4096)}, ErrEntry},
		"more bytes than can be added": {"b", Entry{Kind: File, Size: 1<<63 - 1}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b := sample(t)
			if err := b.Add(tt.path, tt.e); !errors.Is(err, tt.want) {
				t.Errorf("Add(%q) = %v, want %v", tt.path, err, tt.want)
			}
			mustOpen(t, b)
		})
	}
	b := NewBuilder()
	mustAdd(t, b, deep+"/"+strings.Repeat("y", MaxPath-len(deep)-1), file("x"))
	mustOpen(t, b)
}

func TestLaterAddWins(t *testing.T) {
	b := sample(t)
	mustAdd(t, b, "a/b/c.txt", file("changed"))
	mustAdd(t, b, "a", Entry{Kind: Dir, Mode: 0o711})
	tree := mustOpen(t, b)
	if n, ok := tree.Lookup("a/b/c.txt"); !ok || tree.Entry(n).Size != 7 {
		t.Error("a directory over a directory lost its content")
	}
	mustAdd(t, b, "a", file("now a file"))
	tree = mustOpen(t, b)
	if tree.Len() != 4 || tree.Size() != 10 {
		t.Errorf("after a file over a directory: %d nodes, %d bytes", tree.Len(), tree.Size())
	}
	b.Remove("a")
	mustAdd(t, b, "a/b/c.txt", file("hello"))
	if e, ok := b.Lookup("/a/b/c.txt"); !ok || e.Size != 5 {
		t.Errorf("Lookup = %v, %v", e, ok)
	}
	mustOpen(t, b)
}

var names = rapid.SampledFrom([]string{"a", "b", "c", "A", "\xff", "a b", "aa", "zz", "\n"})

func drawBuilder(t *rapid.T) (*Builder, map[string]Entry) {
	b, model := NewBuilder(), map[string]Entry{}
	below := func(path string) {
		for p := range model {
			if strings.HasPrefix(p, path+"/") {
				delete(model, p)
			}
		}
	}
	for range rapid.IntRange(0, 60).Draw(t, "steps") {
		parts := rapid.SliceOfN(names, 1, 4).Draw(t, "path")
		path := strings.Join(parts, "/")
		if rapid.IntRange(0, 5).Draw(t, "op") == 0 {
			b.Remove(path)
			delete(model, path)
			below(path)
			continue
		}
		e := Entry{Kind: Kind(rapid.IntRange(1, 3).Draw(t, "kind")), Mode: 0o640, MTime: rapid.Int64().Draw(t, "mtime")}
		if e.Kind == Symlink {
			e.Target, e.Mode, e.Size = "t", 0o777, 1
		}
		blocked := false
		for i := 1; i < len(parts); i++ {
			up := strings.Join(parts[:i], "/")
			if old, ok := model[up]; ok && old.Kind != Dir {
				blocked = true
				break
			} else if !ok {
				model[up] = Entry{Kind: Dir, Mode: 0o755}
			}
		}
		err := b.Add(path, e)
		if blocked != errors.Is(err, ErrNotDirectory) {
			t.Fatalf("Add(%q) = %v, blocked %v", path, err, blocked)
		}
		if blocked {
			continue
		}
		if e.Kind != Dir || model[path].Kind != Dir {
			below(path)
		}
		model[path] = e
	}
	return b, model
}

func TestBuilderAgreesWithMapAndIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, model := drawBuilder(t)
		data := b.Build()
		tree, err := Open(data)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Len() != len(model)+1 {
			t.Fatalf("%d nodes, want %d", tree.Len(), len(model)+1)
		}
		again := NewBuilder()
		for path, want := range model {
			n, ok := tree.Lookup(path)
			if !ok {
				t.Fatalf("%q is missing", path)
			}
			got := tree.Entry(n)
			got.Name = ""
			if got != want {
				t.Fatalf("%q is %+v, want %+v", path, got, want)
			}
			if err := again.Add(path, want); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again.Build(), data) || !bytes.Equal(From(tree).Build(), data) {
			t.Fatal("equal trees, different bytes")
		}
	})
}

func TestOpenRefusesEveryOtherNumber(t *testing.T) {
	good := sample(t).Build()
	original := mustOpen(t, sample(t))
	for i := range good {
		for _, bit := range []byte{1, 0x40, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			tree, err := Open(bad)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("byte %d: %v", i, err)
				}
				continue
			}
			if tree.Len() != original.Len() || !bytes.Equal(From(tree).Build(), bad) {
				t.Errorf("byte %d, bit %#x: accepted, but not what Build writes", i, bit)
			}
		}
	}
	for n := range good {
		if _, err := Open(good[:n]); err == nil {
			t.Errorf("Open of the first %d bytes succeeded", n)
		}
	}
	if _, err := Open(append(bytes.Clone(good), 0)); err == nil {
		t.Error("Open with a byte too many succeeded")
	}
}

func TestOpenRefusesTooLongPaths(t *testing.T) {
	b := NewBuilder()
	path := strings.Repeat("/"+strings.Repeat("x", 254), 16) // 4,080 bytes
	mustAdd(t, b, path+"/"+strings.Repeat("y", 14), file("x"))
	data := b.Build()
	// Another letter for the last name, taken from nowhere: 4,096 bytes.
	last := headerSize + (b.Len()-1)*recordSize
	binary.LittleEndian.PutUint16(data[last+offNameLen:], 15)
	binary.LittleEndian.PutUint64(data[16:], binary.LittleEndian.Uint64(data[16:])+1)
	if _, err := Open(append(data, 'y')); err == nil || !strings.Contains(err.Error(), "path of 4096 bytes") {
		t.Errorf("Open = %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(NewBuilder().Build())
	f.Add(sample(f).Build())
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := Open(data)
		if err != nil {
			return
		}
		for n := range Node(tree.Len()) {
			e := tree.Entry(n)
			tree.Children(n, func(child Node, name string, isDir bool) bool {
				if at, ok := tree.Child(n, name); !ok || at != child {
					t.Fatalf("Child(%d, %q) = %d, %v, want %d", n, name, at, ok, child)
				}
				return true
			})
			if at, ok := tree.Lookup(tree.Path(n)); !ok || at != n {
				t.Fatalf("Lookup(Path(%d)) = %d, %v (%+v)", n, at, ok, e)
			}
		}
		if !bytes.Equal(From(tree).Build(), data) {
			t.Fatal("not canonical")
		}
	})
}

func TestDigest(t *testing.T) {
	d := Sum([]byte("x"))
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("ParseDigest(String()) = %v, %v", got, err)
	}
	for _, s := range []string{"", "ab", strings.ToUpper(d.String()), strings.Repeat("g", 64), d.String() + "0"} {
		if _, err := ParseDigest(s); err == nil {
			t.Errorf("ParseDigest(%q) succeeded", s)
		}
	}
	tree := mustOpen(t, sample(t))
	if tree.Digest() != Sum(tree.Data()) {
		t.Error("Digest is not of Data")
	}
}

func TestHundredThousandChildren(t *testing.T) {
	b := NewBuilder()
	for i := range 100_000 {
		mustAdd(t, b, fmt.Sprintf("d/%d", i*7919%100_000), file("x"))
	}
	tree := mustOpen(t, b)
	if n, ok := tree.Lookup("d/99999"); !ok || tree.Name(n) != "99999" {
		t.Errorf("Lookup = %d, %v", n, ok)
	}
}

func bigBuilder(b *testing.B) *Builder {
	builder := NewBuilder()
	for i := range 100_000 {
		if err := builder.Add(fmt.Sprintf("src/pkg%d/file%d.go", i/50, i), file("x")); err != nil {
			b.Fatal(err)
		}
	}
	return builder
}

func BenchmarkBuild100k(b *testing.B) {
	for b.Loop() {
		bigBuilder(b).Build()
	}
}

func BenchmarkOpen100k(b *testing.B) {
	data := bigBuilder(b).Build()
	for b.Loop() {
		if _, err := Open(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrom100k(b *testing.B) {
	t := mustOpen(b, bigBuilder(b))
	for b.Loop() {
		From(t)
	}
}
