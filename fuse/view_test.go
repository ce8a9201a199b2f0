package fuse

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestLevels(t *testing.T) {
	v := newFixture(t).
		file("/read/run.sh", "#!/bin/sh", 0o4755&0o777).
		file("/view/plain", "secret", 0o644).
		link("/view/link", "/etc/passwd").
		link("/read/link", "run.sh").
		file("/none/plain", "secret", 0o644).
		file("/none/deep/open.md", "text", 0o640).
		file("/none/shut/plain", "secret", 0o640).
		dir("/write/private", 0o700).
		view("/read/**=read", "/view/**=view", "/none/deep/*.md=read", "/write/**=write")
	for name, tt := range map[string]struct {
		path string
		mode uint32 // 0: missing
	}{
		"read keeps the bits":             {"/read/run.sh", syscall.S_IFREG | 0o755},
		"read directory keeps the bits":   {"/read", syscall.S_IFDIR | 0o755},
		"read link":                       {"/read/link", syscall.S_IFLNK | 0o777},
		"write keeps the bits":            {"/write/private", syscall.S_IFDIR | 0o700},
		"view file has none":              {"/view/plain", syscall.S_IFREG},
		"view directory can be searched":  {"/view", syscall.S_IFDIR | 0o555},
		"view link":                       {"/view/link", syscall.S_IFLNK | 0o777},
		"directory above something":       {"/none", syscall.S_IFDIR | 0o555},
		"deep directory above something":  {"/none/deep", syscall.S_IFDIR | 0o555},
		"what is opened below":            {"/none/deep/open.md", syscall.S_IFREG | 0o640},
		"none file":                       {"/none/plain", 0},
		"none directory above none":       {"/none/shut", 0},
		"what never existed":              {"/none/nothing", 0},
		"what never existed, among reads": {"/read/nothing", 0},
	} {
		t.Run(name, func(t *testing.T) {
			out := lookup(t, v, strings.Split(tt.path, "/")[1:]...)
			if out.Mode != tt.mode || (tt.mode == 0) != (out.NodeId == 0) {
				t.Errorf("Lookup(%q) = id %d, mode %#o, want %#o", tt.path, out.NodeId, out.Mode, tt.mode)
			}
			if tt.mode != 0 && (out.Uid != owner || out.Gid != owner || out.Nlink != 1) {
				t.Errorf("Lookup(%q) = owner %v, %d links", tt.path, out.Owner, out.Nlink)
			}
		})
	}
}

func TestHiddenAndMissingGetTheSameAnswer(t *testing.T) {
	v := newFixture(t).file("/.env", "KEY=1", 0o644).file("/a", "", 0o644).view("**/*=read", "**/.env*=none@1")
	if hidden, missing := lookup(t, v, ".env"), lookup(t, v, "missing"); hidden != missing {
		t.Errorf("Lookup(hidden) = %+v, Lookup(missing) = %+v", hidden, missing)
	}
}

func TestGetAttrAgreesWithLookup(t *testing.T) {
	v := newFixture(t).file("/d/f", "12345", 0o600).link("/d/l", "f").add("/old", tree.Entry{Kind: tree.File, MTime: -1}).view("**/*=read")
	for _, path := range []string{"d", "d/f", "d/l", "old"} {
		e := lookup(t, v, strings.Split(path, "/")...)
		var out gofuse.AttrOut
		in := gofuse.GetAttrIn{InHeader: gofuse.InHeader{NodeId: e.NodeId}}
		if status := v.GetAttr(nil, &in, &out); !status.Ok() || out.Attr != e.Attr || out.AttrValid != forever {
			t.Errorf("GetAttr(%q) = %v, %+v, want %+v", path, status, out, e.Attr)
		}
	}
	old := lookup(t, v, "old")
	if int64(old.Mtime) != -1 || old.Mtimensec != 999_999_999 {
		t.Errorf("a nanosecond before 1970 is %d s and %d ns", int64(old.Mtime), old.Mtimensec)
	}
	if f := lookup(t, v, "d", "f"); f.Size != 5 || f.Blocks != 1 || f.Mtime != 1_700_000_000 || f.Mtimensec != 123_456_789 {
		t.Errorf("attributes of a file are %+v", f.Attr)
	}
}

func TestUnknownIDs(t *testing.T) {
	f := newFixture(t).file("/.env", "KEY=1", 0o644).file("/a", "", 0o644)
	v := f.view("**/*=read", "**/.env*=none@1")
	shut, _ := v.tree.Lookup("/.env")
	for _, id := range []uint64{0, 2, idFlag, idFlag | 1, ^uint64(0), 1 << 33, v.ids.id(shut), v.ids.id(shut) | 1<<40} {
		in := gofuse.GetAttrIn{InHeader: gofuse.InHeader{NodeId: id}}
		if status := v.GetAttr(nil, &in, &gofuse.AttrOut{}); status != gofuse.ENOENT {
			t.Errorf("GetAttr(%#x) = %v, want ENOENT", id, status)
		}
		if _, status := read(t, v, id, 0, 10); status != gofuse.ENOENT {
			t.Errorf("Read(%#x) = %v, want ENOENT", id, status)
		}
	}
}

func TestReadlink(t *testing.T) {
	v := newFixture(t).link("/to", "../out\xff").link("/shut", "/etc").file("/f", "", 0o644).
		view("**/*=read", "/shut=view@1")
	for name, want := range map[string]gofuse.Status{"to": gofuse.OK, "shut": gofuse.EACCES, "f": gofuse.EINVAL} {
		header := gofuse.InHeader{NodeId: lookup(t, v, name).NodeId}
		target, status := v.Readlink(nil, &header)
		if status != want || (status.Ok() && string(target) != "../out\xff") {
			t.Errorf("Readlink(%q) = %q, %v, want %v", name, target, status, want)
		}
	}
}

func TestRead(t *testing.T) {
	small, large := strings.Repeat("small", 100), strings.Repeat("0123456789abcdef", 1<<15)
	f := newFixture(t).file("/small", small, 0o644).file("/large", large, 0o644).file("/empty", "", 0o644).
		file("/shut", small, 0o644).file("/largeshut", large+"x", 0o644).dir("/dir", 0o755)
	f.add("/lost", tree.Entry{Kind: tree.File, Size: 10, Digest: tree.Sum([]byte("lost"))})
	f.add("/short", tree.Entry{Kind: tree.File, Size: 7, Digest: f.object("short")})
	v := f.view("**/*=read", "/*shut=view@1")
	for name, tt := range map[string]struct {
		path   string
		offset uint64
		size   int
		want   string
		status gofuse.Status
	}{
		"small file whole":           {"small", 0, 4096, small, 0},
		"part of a small file":       {"small", 7, 10, small[7:17], 0},
		"end of a small file":        {"small", 490, 4096, small[490:], 0},
		"behind the end":             {"small", 500, 4096, "", 0},
		"far behind the end":         {"small", 1 << 63, 4096, "", 0},
		"empty file":                 {"empty", 0, 4096, "", 0},
		"large file whole":           {"large", 0, 1 << 20, large, 0},
		"part of a large file":       {"large", 123_456, 4096, large[123_456 : 123_456+4096], 0},
		"end of a large file":        {"large", 1<<19 - 3, 4096, "def", 0},
		"view file":                  {"shut", 0, 4096, "", gofuse.EACCES},
		"large view file":            {"largeshut", 0, 4096, "", gofuse.EACCES},
		"directory":                  {"dir", 0, 4096, "", gofuse.Status(syscall.EISDIR)},
		"object that is lost":        {"lost", 0, 4096, "", gofuse.EIO},
		"object with the wrong size": {"short", 0, 4096, "", gofuse.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			got, status := read(t, v, lookup(t, v, tt.path).NodeId, tt.offset, tt.size)
			if status != tt.status || string(got) != tt.want {
				t.Errorf("Read(%q, %d, %d) = %d bytes, %v, want %d, %v", tt.path, tt.offset, tt.size, len(got), status, len(tt.want), tt.status)
			}
		})
	}
}

func TestObjectsAreOpenedThroughNoLink(t *testing.T) {
	f := newFixture(t).file("/a", "content", 0o644)
	name := filepath.Join(f.objects, tree.Sum([]byte("content")).String()[:2])
	outside := t.TempDir()
	if err := os.Rename(name, filepath.Join(outside, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "moved"), name); err != nil {
		t.Fatal(err)
	}
	v := f.view("**/*=read")
	if got, status := read(t, v, lookup(t, v, "a").NodeId, 0, 100); status != gofuse.EIO {
		t.Errorf("Read through a link = %q, %v, want EIO", got, status)
	}
}

func TestReadersDoNotDisturbEachOther(t *testing.T) {
	f := newFixture(t)
	const files = 50
	for i := range files {
		f.file(fmt.Sprintf("/f%d", i), fmt.Sprintf("%d%s", i, strings.Repeat("x", 1<<16)), 0o644)
	}
	v := f.view("**/*=read")
	before := openFiles(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 3 * files {
				n := (i*7 + w) % files
				got, status := read(t, v, lookup(t, v, fmt.Sprintf("f%d", n)).NodeId, 0, 64)
				if !status.Ok() || !strings.HasPrefix(string(got), fmt.Sprintf("%dx", n)) {
					t.Errorf("Read(f%d) = %q, %v", n, got, status)
				}
			}
		})
	}
	wg.Wait()
	if now := openFiles(t); now != before {
		t.Errorf("%d files are open, %d before", now, before)
	}
	if busy, done := v.Load(); busy != 0 || done == 0 {
		t.Errorf("Load() = %d, %d", busy, done)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestNamesAreBytes(t *testing.T) {
	names := []string{"\xff\xfe", "a b", "new\nline", "ünï", "\x01", strings.Repeat("n", 255)}
	f := newFixture(t)
	for _, name := range names {
		f.file("/"+name, name, 0o644)
	}
	v := f.view("**/*=read")
	for _, name := range names {
		if got, status := read(t, v, lookup(t, v, name).NodeId, 0, 1000); string(got) != name {
			t.Errorf("Read(%q) = %q, %v", name, got, status)
		}
	}
	if got := readDir(t, v, rootID, 4096, true); len(got) != len(names)+dots {
		t.Errorf("root lists %d entries, want %d", len(got), len(names)+dots)
	}
}

func TestWarmFindsEverythingAndStops(t *testing.T) {
	f := newFixture(t)
	for i := range 50 {
		f.file(fmt.Sprintf("/d%d/e/f%d", i%7, i), "x", 0o644)
	}
	v := f.view("**/*=read")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	v.Warm(ended)
	v.Warm(t.Context())
	for n := range v.tree.Len() {
		if v.verdicts.recall(tree.Node(n)) != readable && n != 0 {
			t.Errorf("%q is not known after Warm", v.tree.Path(tree.Node(n)))
		}
	}
}
