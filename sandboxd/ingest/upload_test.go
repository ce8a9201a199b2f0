package ingest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// client is the other side: what it says it has, by path.
type client struct {
	entries  []Entry
	contents map[string]string // by path
	sent     []string
	lie      func(digests [][]byte)
	// told says that the content of IgnoreFiles comes with the manifest.
	told bool
}

// newClient takes "dir/", "a -> b", "pipe|" and "file=content".
func newClient(specs ...string) *client {
	c := &client{contents: map[string]string{}}
	for _, spec := range specs {
		if dir, ok := strings.CutSuffix(spec, "/"); ok {
			c.entries = append(c.entries, Entry{Path: dir, Kind: tree.Dir, Mode: 0o750, MTime: 1})
		} else if name, target, ok := strings.Cut(spec, " -> "); ok {
			c.entries = append(c.entries, Entry{Path: name, Kind: tree.Symlink, Target: target})
		} else if name, ok := strings.CutSuffix(spec, "|"); ok {
			c.entries = append(c.entries, Entry{Path: name, Special: true})
		} else {
			name, content, _ := strings.Cut(spec, "=")
			c.entries = append(c.entries, Entry{Path: name, Kind: tree.File, Mode: 0o640, Size: int64(len(content)), MTime: 2})
			c.contents[name] = content
		}
	}
	return c
}

func (c *client) upload(in *Ingester, req UploadRequest) (Result, error) {
	u, err := in.Upload(req)
	if err != nil {
		return Result{}, err
	}
	defer u.Close()
	for _, e := range c.entries {
		if c.told && isIgnoreFile(e) {
			e.Patterns = []byte(c.contents[e.Path])
		}
		if err := u.Add(e); err != nil {
			return Result{}, err
		}
	}
	wanted, err := u.Wanted(context.Background())
	if err != nil {
		return Result{}, err
	}
	var digests [][]byte
	for _, pos := range wanted {
		d := tree.Sum([]byte(c.contents[c.entries[pos].Path]))
		digests = append(digests, d[:])
	}
	if c.lie != nil {
		c.lie(digests)
	}
	if err := u.AddDigests(digests...); err != nil {
		return Result{}, err
	}
	missing, err := u.Missing()
	if err != nil {
		return Result{}, err
	}
	c.sent = nil
	var data string
	var open bool
	err = u.Receive(context.Background(), func() ([]byte, bool, error) {
		if !open {
			if len(missing) == 0 {
				return nil, false, io.EOF
			}
			path := c.entries[missing[0]].Path
			missing, data, open = missing[1:], c.contents[path], true
			c.sent = append(c.sent, path)
		}
		chunk := data[:min(len(data), 3)]
		data = data[len(chunk):]
		open = data != ""
		return []byte(chunk), !open, nil
	})
	if err != nil {
		return Result{}, err
	}
	return u.Finish(context.Background())
}

func mustUpload(t *testing.T, c *client, in *Ingester, req UploadRequest) Result {
	t.Helper()
	result, err := c.upload(in, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { result.Snapshot.Close() })
	return result
}

func TestUploadStoresTheTree(t *testing.T) {
	s := openStore(t)
	c := newClient("a=hello", "d/", "d/b=", "d/e/f=hello", "l -> ../x", "empty/", "big="+strings.Repeat("x", 100_000))
	result := mustUpload(t, c, New(s), UploadRequest{})
	want := []string{"a", "big", "d/", "d/b", "d/e/", "d/e/f", "empty/", "l -> ../x"}
	if got := paths(result.Snapshot); !slices.Equal(got, want) {
		t.Errorf("tree holds %q, want %q", got, want)
	}
	if want := []string{"a", "d/b", "big"}; !slices.Equal(c.sent, want) {
		t.Errorf("sent %q, want %q", c.sent, want)
	}
	n, _ := result.Snapshot.Tree().Lookup("d/e/f")
	wantEntry := tree.Entry{Name: "f", Kind: tree.File, Mode: 0o640, Size: 5, MTime: 2, Digest: tree.Sum([]byte("hello"))}
	if got := result.Snapshot.Tree().Entry(n); got != wantEntry {
		t.Errorf("entry is %+v, want %+v", got, wantEntry)
	}
	if result.Files != 4 || result.Dirs != 3 || result.Symlinks != 1 || result.NewBytes != 100_005 {
		t.Errorf("result is %+v", result)
	}
}

func TestUploadSendsWhatIsNotKnown(t *testing.T) {
	in := New(openStore(t))
	c := newClient("a=one", "b=two")
	first := mustUpload(t, c, in, UploadRequest{Owner: 1})
	for name, tt := range map[string]struct {
		req  UploadRequest
		want []string
	}{
		"again, by the same owner":       {UploadRequest{Owner: 1}, nil},
		"by another owner":               {UploadRequest{Owner: 2}, []string{"a", "b"}},
		"by another owner who knows all": {UploadRequest{Owner: 3, Known: []*store.Snapshot{first.Snapshot}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			result := mustUpload(t, c, in, tt.req)
			if !slices.Equal(c.sent, tt.want) || result.Snapshot.Digest() != first.Snapshot.Digest() || result.NewBytes != 0 {
				t.Errorf("sent %q, want %q; %+v", c.sent, tt.want, result)
			}
		})
	}
}

func TestUploadLeavesOut(t *testing.T) {
	for name, tt := range map[string]struct {
		specs   []string
		policy  []string
		ignore  []string
		want    []string
		sent    []string
		skipped string
	}{
		"hidden and default": {
			specs:  []string{".env=x", "a.pyc=y", "secrets/k=z", "secrets/s|", "n/o/p=q", "n/o/s|", "src/a=a", "src/s|", "s.pyc|"},
			policy: []string{"**/*=read", "**/.env=none@1", "**/secrets/**=none@1", "/n/**=none@1"},
			want:   []string{"src/", "src/a"}, sent: []string{"src/a"},
			skipped: `hidden 3 [".env" "n" "secrets"]; ignored 2 ["a.pyc" "s.pyc"]; special 1 ["src/s"]`,
		},
		"barren directories": {
			specs:  []string{"n/o/p=q", "n/o/x.pyc=1", "a/b.md=1"},
			policy: []string{"**/*.md=read"}, want: []string{"a/", "a/b.md"}, sent: []string{"a/b.md"},
			skipped: `hidden 1 ["n"]`,
		},
		"its own patterns decide at the end": {
			specs: []string{IgnoreFile + "=*.log\n!*.pyc\n", "a.log=1", "b.pyc=2", "keep.log=3", "build/x=4"},
			ignore: []string{
				"!keep.log", "build",
			},
			want: []string{IgnoreFile, "b.pyc", "keep.log"}, sent: []string{IgnoreFile, "a.log", "b.pyc", "keep.log"},
			skipped: `ignored 2 ["a.log" "build"]`,
		},
		"patterns that are ignored count": {
			specs:  []string{"a/" + IgnoreFile + "=*.log\n", "a/a.log=1", "a/b=2"},
			ignore: []string{IgnoreFile},
			want:   []string{"a/", "a/b"}, sent: []string{"a/" + IgnoreFile, "a/a.log", "a/b"},
			skipped: `ignored 2 ["a/.sandboxignore" "a/a.log"]`,
		},
		"hidden patterns do not count": {
			specs:  []string{IgnoreFile + "=*\n", "a=1", "b.pyc=2"},
			policy: []string{"**/*=read", "/.sandboxignore=none@1"},
			want:   []string{"a"}, sent: []string{"a"},
			skipped: `hidden 1 [".sandboxignore"]; ignored 1 ["b.pyc"]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := New(openStore(t))
			req := UploadRequest{Ignore: tt.ignore}
			if tt.policy != nil {
				req.Policy = rules(t, tt.policy...)
			}
			c := newClient(tt.specs...)
			for range 2 {
				result := mustUpload(t, c, in, req)
				if got := paths(result.Snapshot); !slices.Equal(got, tt.want) {
					t.Errorf("tree holds %q, want %q", got, tt.want)
				}
				if got := skipped(result); got != tt.skipped {
					t.Errorf("skipped %s, want %s", got, tt.skipped)
				}
				if !slices.Equal(c.sent, tt.sent) {
					t.Errorf("sent %q, want %q", c.sent, tt.sent)
				}
				// What is in the tree is known now; what was left out is not.
				tt.sent = slices.DeleteFunc(tt.sent, func(path string) bool { return slices.Contains(tt.want, path) })
			}
		})
	}
}

func TestUploadRefusesManifests(t *testing.T) {
	in := New(openStore(t))
	file := func(path string) Entry { return Entry{Path: path, Kind: tree.File, Mode: 0o644} }
	long := strings.Repeat("x", 255)
	for name, entries := range map[string][]Entry{
		"empty path":            {file("")},
		"absolute":              {file("/a")},
		"dot dot":               {file("../a")},
		"dot dot inside":        {file("a/../b")},
		"dot":                   {file("a/./b")},
		"empty component":       {file("a//b")},
		"trailing slash":        {file("a/")},
		"NUL":                   {file("a\x00")},
		"long name":             {file(long + "x")},
		"long path":             {file(strings.Repeat(long+"/", 16) + "a")},
		"twice":                 {file("a"), file("a")},
		"a directory twice":     {{Path: "a", Kind: tree.Dir}, {Path: "a", Kind: tree.Dir}},
		"below a file":          {file("a"), file("a/b")},
		"below a socket":        {{Path: "a", Special: true}, file("a/b")},
		"a socket twice":        {{Path: "a", Special: true}, {Path: "a", Special: true}},
		"below a link":          {{Path: "a", Kind: tree.Symlink, Target: "b"}, file("a/b")},
		"a file above entries":  {file("a/b"), file("a")},
		"a file over a dir":     {{Path: "a", Kind: tree.Dir}, file("a")},
		"no kind":               {{Path: "a"}},
		"setuid":                {{Path: "a", Kind: tree.File, Mode: 0o4755}},
		"negative size":         {{Path: "a", Kind: tree.File, Size: -1}},
		"huge size":             {{Path: "a", Kind: tree.File, Size: 1 << 62}},
		"huge sum":              slices.Repeat([]Entry{{Path: "a", Kind: tree.File, Size: MaxFileSize}}, 5),
		"link without a target": {{Path: "a", Kind: tree.Symlink}},
		"huge target":           {{Path: "a", Kind: tree.Symlink, Target: strings.Repeat("x", 4096)}},
		"huge ignore file":      {{Path: "d/" + IgnoreFile, Kind: tree.File, Size: maxIgnoreFile + 1}},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := in.Upload(UploadRequest{})
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			if name == "huge sum" {
				for i := range entries {
					entries[i].Path = strings.Repeat("a", i+1)
				}
			}
			if err := u.Add(entries...); !errors.Is(err, ErrInvalid) {
				t.Errorf("Add = %v, want ErrInvalid", err)
			}
		})
	}
}

func TestUploadRefusesLies(t *testing.T) {
	s := openStore(t)
	in := New(s)
	theirs := mustUpload(t, newClient("secret=their secret"), in, UploadRequest{Owner: 2})
	secret := tree.Sum([]byte("their secret"))
	for name, tt := range map[string]struct {
		change func(c *client)
		want   error
	}{
		"another content": {func(c *client) { c.lie = func(d [][]byte) { d[0] = make([]byte, 32) } }, ErrContent},
		"somebody's digest": {func(c *client) {
			c.entries[0].Size = int64(len("their secret"))
			c.lie = func(d [][]byte) { d[0] = secret[:] }
		}, ErrContent},
		"too short":          {func(c *client) { c.entries[0].Size++ }, ErrContent},
		"too long":           {func(c *client) { c.entries[0].Size-- }, ErrContent},
		"an endless file":    {func(c *client) { c.contents["a"] = strings.Repeat("x", 1<<20) }, ErrContent},
		"half a digest":      {func(c *client) { c.lie = func(d [][]byte) { d[1] = d[1][:31] } }, ErrInvalid},
		"one digest, 2 size": {func(c *client) { c.lie = func(d [][]byte) { d[1] = d[0] } }, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient("a=one", "b=three")
			tt.change(c)
			if _, err := c.upload(in, UploadRequest{Owner: 1}); !errors.Is(err, tt.want) {
				t.Errorf("upload = %v, want %v", err, tt.want)
			}
		})
	}
	if r, err := s.Fsck(context.Background(), false); err != nil || !r.Clean() || r.Objects != 1 {
		t.Errorf("Fsck = %+v, %v", r, err)
	}
	_ = theirs
}

func TestUploadStepsComeInOrder(t *testing.T) {
	in := New(openStore(t))
	u, err := in.Upload(UploadRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := u.Add(Entry{Path: "a", Kind: tree.File, Size: 1}); err != nil {
		t.Fatal(err)
	}
	never := func() ([]byte, bool, error) { return nil, false, io.EOF }
	wrong := func(when string, calls ...func() error) {
		t.Helper()
		for i, call := range calls {
			if err := call(); !errors.Is(err, ErrStep) {
				t.Errorf("%s, call %d = %v, want ErrStep", when, i, err)
			}
		}
	}
	receive := func() error { return u.Receive(context.Background(), never) }
	finish := func() error { _, err := u.Finish(context.Background()); return err }
	missing := func() error { _, err := u.Missing(); return err }
	wrong("before Wanted", missing, receive, finish, func() error { return u.AddDigests() })
	if wanted, err := u.Wanted(context.Background()); err != nil || !slices.Equal(wanted, []uint32{0}) {
		t.Fatalf("Wanted = %v, %v", wanted, err)
	}
	wrong("before Missing", receive, finish, func() error { return u.Add() })
	if err := missing(); !errors.Is(err, ErrInvalid) {
		t.Errorf("Missing without digests = %v", err)
	}
	if err := u.AddDigests(make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	if err := u.AddDigests(make([]byte, 32)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a digest too many = %v", err)
	}
	if err := missing(); err != nil {
		t.Fatal(err)
	}
	wrong("before Receive", finish, missing)
	if err := receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Receive of an ended stream = %v", err)
	}
	u.Close()
	wrong("after Close", receive, finish, missing)
}
