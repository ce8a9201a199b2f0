package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r, err := s.Fsck(context.Background(), false); err != nil || !r.Clean() {
			t.Errorf("Fsck = %+v, %v", r.Problems, err)
		}
		s.Close()
	})
	return s
}

func self() Caller {
	groups, _ := os.Getgroups()
	c := Caller{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	for _, g := range groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

func rules(t testing.TB, specs ...string) *policy.Policy {
	t.Helper()
	var list []policy.Rule
	for _, spec := range specs {
		r, err := policy.ParseRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	p, err := policy.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// make creates entries: "dir/" is a directory, "a -> b" a link, "a => b" a
// hard link, "a |" a FIFO, and anything else a file that holds its own name.
func makeTree(t testing.TB, root string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		var err error
		switch {
		case strings.HasSuffix(e, "/"):
			err = os.MkdirAll(filepath.Join(root, e), 0o755)
		case strings.Contains(e, " -> "):
			name, target, _ := strings.Cut(e, " -> ")
			err = os.Symlink(target, filepath.Join(root, name))
		case strings.Contains(e, " => "):
			name, target, _ := strings.Cut(e, " => ")
			err = os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755)
			err = errors.Join(err, os.Link(filepath.Join(root, target), filepath.Join(root, name)))
		case strings.HasSuffix(e, " |"):
			err = syscall.Mkfifo(filepath.Join(root, strings.TrimSuffix(e, " |")), 0o644)
		default:
			path := filepath.Join(root, e)
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(e), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// age makes everything old enough for the index to be believed.
func age(t testing.TB) {
	t.Helper()
	time.Sleep(6 * tick)
}

func ingest(t testing.TB, in *Ingester, req Request) Result {
	t.Helper()
	req.Caller = self()
	result, err := in.Directory(context.Background(), req, nil)
	if err != nil {
		t.Fatalf("Directory(%q) = %v", req.Dir, err)
	}
	t.Cleanup(func() { result.Snapshot.Close() })
	return result
}

func paths(s *store.Snapshot) []string {
	var list []string
	for n := range tree.Node(s.Tree().Len()) {
		e := s.Tree().Entry(n)
		path := strings.TrimPrefix(s.Tree().Path(n), "/")
		switch e.Kind {
		case tree.Dir:
			path += "/"
		case tree.Symlink:
			path += " -> " + e.Target
		}
		if n != tree.Root {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

func skipped(r Result) string {
	var parts []string
	for _, s := range r.Skipped {
		parts = append(parts, fmt.Sprintf("%v %d %q", s.Reason, s.Count, s.Paths))
	}
	return strings.Join(parts, "; ")
}

func TestWhatGoesIn(t *testing.T) {
	in := New(openStore(t))
	for name, tt := range map[string]struct {
		entries []string
		policy  []string // nil: none
		ignore  []string
		want    []string
		skipped string
	}{
		"files, links and empty directories": {
			entries: []string{"a", "d/b", "empty/", "l -> ../x", "dangling -> /nowhere", "loop -> loop"},
			want:    []string{"a", "d/", "d/b", "dangling -> /nowhere", "empty/", "l -> ../x", "loop -> loop"},
		},
		"defaults": {
			entries: []string{"a.pyc", "d/__pycache__/x", ".DS_Store", "a.py", ".git/config", ".gitignore"},
			want:    []string{".git/", ".git/config", ".gitignore", "a.py", "d/"},
			skipped: `ignored 3 [".DS_Store" "a.pyc" "d/__pycache__"]`,
		},
		"ignore patterns of the request": {
			entries: []string{"a.log", "keep.log", "build/x/y", "d/build", "x.pyc"},
			ignore:  []string{"*.log", "!keep.log", "/build", "!x.pyc"},
			want:    []string{"d/", "d/build", "keep.log", "x.pyc"},
			skipped: `ignored 2 ["a.log" "build"]`,
		},
		"special files": {
			entries: []string{"a", "p |", "d/", "d/p |"},
			want:    []string{"a", "d/"},
			skipped: `special 2 ["d/p" "p"]`,
		},
		"hidden entries": {
			entries: []string{".env", "d/.env", "secrets/a/b", "src/a", "src/secrets/k", "p |"},
			policy:  []string{"**/*=read", "**/.env=none@1", "**/secrets/**=none@1", "p=none@1"},
			want:    []string{"d/", "src/", "src/a"},
			skipped: `hidden 5 [".env" "d/.env" "p" "secrets" "src/secrets"]`,
		},
		"bare ancestors stay, barren ones are hidden": {
			entries: []string{"a/b/c.md", "a/b/c.txt", "a/x.txt", "n/o/x.txt", "n/p/", "m/x.md/y", "z.txt"},
			policy:  []string{"**/*.md=read"},
			want:    []string{"a/", "a/b/", "a/b/c.md", "m/", "m/x.md/"},
			skipped: `hidden 5 ["a/b/c.txt" "a/x.txt" "m/x.md/y" "n" "z.txt"]`,
		},
		"everything hidden": {
			entries: []string{"a", "d/b"}, policy: []string{}, skipped: `hidden 2 ["a" "d"]`,
		},
		"hidden and ignored is hidden": {
			entries: []string{"a.pyc", "b"}, policy: []string{"b=read"}, want: []string{"b"}, skipped: `hidden 1 ["a.pyc"]`,
		},
		"hard link to hidden": {
			entries: []string{"secrets/key", "alias => secrets/key", "d/alias => secrets/key", "b", "c => b"},
			policy:  []string{"**/*=read", "/secrets/**=none@1"},
			want:    []string{"b", "c", "d/"},
			skipped: `hidden 1 ["secrets"]; hard link to hidden 2 ["alias" "d/alias"]`,
		},
		"hard link to hidden in an ignored directory": {
			entries: []string{"build/x/.env", "alias => build/x/.env", "build/ok", "fine => build/ok"},
			policy:  []string{"**/*=read", "**/.env=none@1"}, ignore: []string{"build"},
			want:    []string{"fine"},
			skipped: `ignored 1 ["build"]; hard link to hidden 1 ["alias"]`,
		},
		"hard link to hidden in a barren directory": {
			entries: []string{"n/o/x.txt", "a.md => n/o/x.txt"},
			policy:  []string{"**/*.md=read"},
			skipped: `hidden 1 ["n"]; hard link to hidden 1 ["a.md"]`,
		},
		"hard links and no policy": {
			entries: []string{"a", "b => a"}, want: []string{"a", "b"},
		},
		"odd names": {
			entries: []string{"\xff\xfe", "a\nb", "-", "~", " ", "\\", strings.Repeat("x", 255)},
			want:    []string{" ", "-", "\\", "a\nb", strings.Repeat("x", 255), "~", "\xff\xfe"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			makeTree(t, root, tt.entries...)
			req := Request{Dir: root, Ignore: tt.ignore}
			if tt.policy != nil {
				req.Policy = rules(t, tt.policy...)
			}
			for _, state := range []string{"first", "second", "third"} {
				result := ingest(t, in, req)
				if got := paths(result.Snapshot); !slices.Equal(got, tt.want) {
					t.Errorf("%s: tree holds %q, want %q", state, got, tt.want)
				}
				if got := skipped(result); got != tt.skipped {
					t.Errorf("%s: skipped %s, want %s", state, got, tt.skipped)
				}
				age(t)
			}
		})
	}
}

func TestIgnoreFiles(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "a.log", "d/a.log", "d/keep.log", "d/e/x", "d/e/y", "build/x", "x.pyc", "sub/y")
	for path, content := range map[string]string{
		IgnoreFile: "*.log\n/build/\n!*.pyc\n", "d/" + IgnoreFile: "!keep.log\ne/*\n!e/y\n",
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	makeTree(t, root, "sub/.sandboxignore -> ../a.log")
	want := []string{
		IgnoreFile, "d/", "d/" + IgnoreFile, "d/e/", "d/e/y", "d/keep.log", "sub/", "sub/.sandboxignore -> ../a.log", "sub/y", "x.pyc",
	}
	slices.Sort(want)
	result := ingest(t, in, Request{Dir: root})
	if got := paths(result.Snapshot); !slices.Equal(got, want) {
		t.Errorf("tree holds %q, want %q", got, want)
	}
	if got, want := skipped(result), `ignored 4 ["a.log" "build" "d/a.log" "d/e/x"]`; got != want {
		t.Errorf("skipped %s, want %s", got, want)
	}
	// Hidden patterns are not read.
	result = ingest(t, in, Request{Dir: root, Policy: rules(t, "**/*=read", "/.sandboxignore=none@1")})
	if _, ok := result.Snapshot.Tree().Lookup("a.log"); !ok {
		t.Error("a hidden file's patterns were used")
	}
	if err := os.WriteFile(filepath.Join(root, IgnoreFile), make([]byte, maxIgnoreFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := in.Directory(context.Background(), Request{Caller: self(), Dir: root}, nil)
	var at *PathError
	if !errors.As(err, &at) || at.Path != IgnoreFile {
		t.Errorf("Directory with a huge %s = %v", IgnoreFile, err)
	}
}

func TestAttributesAreKept(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "x", "d/y")
	when := time.Unix(1234567890, 123456789)
	path := filepath.Join(root, "x")
	if err := errors.Join(os.Chmod(path, 0o4751), os.Chtimes(path, when, when), os.Chmod(filepath.Join(root, "d"), 0o711)); err != nil {
		t.Fatal(err)
	}
	result := ingest(t, in, Request{Dir: root})
	n, _ := result.Snapshot.Tree().Lookup("x")
	want := tree.Entry{Name: "x", Kind: tree.File, Mode: 0o751, Size: 1, MTime: when.UnixNano(), Digest: tree.Sum([]byte("x"))}
	if got := result.Snapshot.Tree().Entry(n); got != want {
		t.Errorf("entry is %+v, want %+v", got, want)
	}
	n, _ = result.Snapshot.Tree().Lookup("d")
	if got := result.Snapshot.Tree().Entry(n).Mode; got != 0o711 {
		t.Errorf("directory has mode %o", got)
	}
	if result.Files != 2 || result.Dirs != 1 || result.Symlinks != 0 || result.Bytes != 4 || result.NewBytes != 4 {
		t.Errorf("result is %+v", result)
	}
}

func TestUnchangedIsNotReadAgain(t *testing.T) {
	in, root := New(openStore(t)), t.TempDir()
	makeTree(t, root, "a", "d/b", "d/c", "l -> a")
	age(t)
	req := Request{Dir: root, Caller: self()}
	read := func(req Request) (tree.Digest, int64) {
		t.Helper()
		result := ingest(t, in, req)
		return result.Snapshot.Digest(), result.FilesRead
	}
	first, reads := read(req)
	if reads != 3 {
		t.Fatalf("first ingest read %d files", reads)
	}
	if again, reads := read(req); again != first || reads != 0 {
		t.Errorf("unchanged: read %d files, same snapshot %v", reads, again == first)
	}
	info, err := os.Stat(filepath.Join(root, "d/b"))
	if err != nil {
		t.Fatal(err)
	}
	// Same size, same mtime, other content.
	path := filepath.Join(root, "d/b")
	if err := errors.Join(os.WriteFile(path, []byte("d/B"), 0o644), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	changed, reads := read(req)
	if changed == first || reads != 1 {
		t.Errorf("one file changed: read %d files, same snapshot %v", reads, changed == first)
	}
	// The file was too fresh to be believed.
	if again, reads := read(req); again != changed || reads != 1 {
		t.Errorf("one fresh file: read %d files, same snapshot %v", reads, again == changed)
	}
	age(t)
	read(req)
	if _, reads := read(req); reads != 0 {
		t.Errorf("at rest: read %d files", reads)
	}
	other := req
	other.Policy = rules(t, "**/*=read")
	if same, reads := read(other); same != changed || reads != 3 {
		t.Errorf("another policy: read %d files, same snapshot %v", reads, same == changed)
	}
}

func TestIndexIsNotBelievedWithoutItsTree(t *testing.T) {
	s := openStore(t)
	in, root := New(s), t.TempDir()
	makeTree(t, root, "a", "b")
	age(t)
	req := Request{Dir: root, Caller: self()}
	result, err := in.Directory(context.Background(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	result.Snapshot.Close()
	if r, err := s.Collect(context.Background(), -time.Hour); err != nil || r.Trees != 1 || r.Objects != 2 {
		t.Fatalf("Collect = %+v, %v", r, err)
	}
	if again := ingest(t, in, req); again.NewBytes != 2 {
		t.Errorf("%d bytes were new, want 2", again.NewBytes)
	}
}
