package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func create(t testing.TB, s *Store, name string) Codebase {
	t.Helper()
	c, err := s.CreateCodebase(Creation{Owner: 7, Name: name, OwnerID: "me"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func upload(t testing.TB, s *Store, id, path, text string) {
	t.Helper()
	up, err := s.PutFile(id, path, 0, strings.NewReader(text))
	if err != nil || up.Digest != tree.Sum([]byte(text)) || up.Size != int64(len(text)) {
		t.Fatalf("PutFile(%q) = %+v, %v", path, up, err)
	}
}

func TestNewCodebaseIsEmpty(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	if !regexp.MustCompile(`^cb_[0-9a-f]{32}$`).MatchString(c.ID) {
		t.Errorf("id %q", c.ID)
	}
	head, err := s.Head(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer head.Close()
	if head.Tree().Len() != 1 || head.Digest() != c.Head || c.Files != 0 || c.Size != 0 {
		t.Errorf("head has %d nodes, %+v", head.Tree().Len(), c)
	}
	got, err := s.Codebase(c.ID)
	if err != nil || got != c {
		t.Errorf("Codebase = %+v, %v, want %+v", got, err, c)
	}
}

func TestSameRequestSameCodebase(t *testing.T) {
	s := openStore(t)
	request := func(owner uint32, id string) string {
		c, err := s.CreateCodebase(Creation{Owner: owner, Name: "n", OwnerID: "o", RequestID: id})
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	id := request(1, "r")
	if request(1, "r") != id {
		t.Error("the same request made another codebase")
	}
	for name, other := range map[string]string{
		"another owner": request(2, "r"), "another request": request(1, "q"), "no request": request(1, ""), "no request again": request(1, ""),
	} {
		if other == id {
			t.Errorf("%s got the same codebase", name)
		}
	}
	if err := s.DeleteCodebase(id); err != nil {
		t.Fatal(err)
	}
	if request(1, "r") == id {
		t.Error("the request found a deleted codebase")
	}
}

func TestPagesHoldEveryCodebaseOnce(t *testing.T) {
	s := openStore(t)
	for i := range 7 {
		if _, err := s.CreateCodebase(Creation{Owner: uint32(i % 2), Name: fmt.Sprint(i), OwnerID: fmt.Sprint("o", i%3)}); err != nil {
			t.Fatal(err)
		}
	}
	one := uint32(1)
	for name, tt := range map[string]struct {
		filter Filter
		want   string
	}{
		"all":         {Filter{}, "0123456"},
		"by uid":      {Filter{Owner: &one}, "135"},
		"by owner id": {Filter{OwnerID: "o0"}, "036"},
		"by both":     {Filter{Owner: &one, OwnerID: "o0"}, "3"},
		"nobody's":    {Filter{OwnerID: "?"}, ""},
	} {
		for size := 1; size < 9; size++ {
			got, token, pages := "", "", 0
			for {
				list, next, err := s.Codebases(tt.filter, Page{Size: size, Token: token})
				if err != nil || len(list) > size {
					t.Fatalf("%s: Codebases = %d, %v", name, len(list), err)
				}
				for _, c := range list {
					got += c.Name
				}
				if pages++; next == "" {
					break
				}
				token = next
			}
			if got != tt.want || pages != max(1, (len(tt.want)+size-1)/size) {
				t.Errorf("%s, %d a page: %q in %d pages, want %q", name, size, got, pages, tt.want)
			}
		}
	}
	for _, token := range []string{"x", "00", strings.Repeat("0", 100)} {
		if _, _, err := s.Codebases(Filter{}, Page{Token: token}); !errors.Is(err, ErrPageToken) {
			t.Errorf("Codebases with token %q = %v", token, err)
		}
	}
}

func TestUploadsFoldIntoTheHead(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	upload(t, s, c.ID, "/a/b.txt", "one")
	upload(t, s, c.ID, "./a//c.txt", "two")
	s.Close()
	s = reopen(t, s.path)
	upload(t, s, c.ID, "a/b.txt", "three")
	got, err := s.Codebase(c.ID)
	if err != nil || got.Files != 2 || got.Size != 8 || got.Head == c.Head || !got.Updated.After(got.Created) {
		t.Errorf("Codebase = %+v, %v", got, err)
	}
	head, err := s.Head(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer head.Close()
	n, ok := head.Tree().Lookup("a/b.txt")
	if !ok || content(t, s, head.Tree().Entry(n).Digest) != "three" {
		t.Error("the later upload did not win")
	}
	upload(t, s, c.ID, "d", "4")
	if err := s.DeleteCodebase(c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutFile(c.ID, "d", 0, strings.NewReader("")); !errors.Is(err, ErrNotFound) {
		t.Errorf("PutFile to a deleted codebase = %v", err)
	}
	for _, err := range []error{s.DeleteCodebase(c.ID), s.SetHead(c.ID, tree.Digest{}, emptyTree())} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := s.Head(c.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("Head = %v", err)
	}
	wantClean(t, s)
}

func TestUploadModes(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	for i, tt := range []struct{ mode, want uint32 }{{0, 0o644}, {0o755, 0o755}, {0, 0o755}} {
		up, err := s.PutFile(c.ID, "f", tt.mode, strings.NewReader(fmt.Sprint(i)))
		if err != nil || up.Mode != tt.want {
			t.Errorf("PutFile with mode %o = %+v, %v", tt.mode, up, err)
		}
	}
	if _, err := s.Codebase(c.ID); err != nil { // folds
		t.Fatal(err)
	}
	if up, err := s.PutFile(c.ID, "f", 0, strings.NewReader("z")); err != nil || up.Mode != 0o755 {
		t.Errorf("PutFile over the head's file = %+v, %v", up, err)
	}
	if _, err := s.PutFile(c.ID, "f", 0o4755, strings.NewReader("z")); !errors.Is(err, tree.ErrEntry) {
		t.Errorf("PutFile with setuid = %v", err)
	}
}

func TestUploadRefusesPaths(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	upload(t, s, c.ID, "old/file", "x")
	if _, err := s.Codebase(c.ID); err != nil { // folds
		t.Fatal(err)
	}
	upload(t, s, c.ID, "new/file", "x")
	long := strings.Repeat("x", 255)
	for name, tt := range map[string]struct {
		path string
		want error
	}{
		"empty":                {"", ErrInvalidPath},
		"the root":             {"/", ErrInvalidPath},
		"dot":                  {".", ErrInvalidPath},
		"above the root":       {"../x", ErrInvalidPath},
		"above and back":       {"a/../x", ErrInvalidPath},
		"dot dot last":         {"a/..", ErrInvalidPath},
		"absolute and above":   {"/../etc/passwd", ErrInvalidPath},
		"NUL":                  {"a\x00b", ErrInvalidPath},
		"long name":            {long + "x", ErrInvalidPath},
		"long path":            {strings.Repeat(long+"/", 16), ErrInvalidPath},
		"very long path":       {strings.Repeat("/", 1<<20), ErrInvalidPath},
		"a trailing slash":     {"a/", ErrInvalidPath},
		"over an old dir":      {"old", ErrIsDirectory},
		"over a new dir":       {"new", ErrIsDirectory},
		"below an old file":    {"old/file/x", ErrNotDirectory},
		"far below a new file": {"new/file/x/y", ErrNotDirectory},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.PutFile(c.ID, tt.path, 0, strings.NewReader("x"))
			var at *PathError
			if !errors.Is(err, tt.want) || !errors.As(err, &at) {
				t.Errorf("PutFile(%.100q) = %v, want %v", tt.path, err, tt.want)
			}
		})
	}
	for _, path := range []string{"..x", "x..", "...", "a/ /b", "\xff\n"} {
		upload(t, s, c.ID, path, "x")
	}
	wantClean(t, s)
}

func TestSetHeadComparesAndSwaps(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	a := putTree(t, s, map[string]string{"a": "1"}).Digest()
	b := putTree(t, s, map[string]string{"b": "22"}).Digest()
	if err := s.SetHead(c.ID, c.Head, a); err != nil {
		t.Fatal(err)
	}
	if err := s.SetHead(c.ID, c.Head, b); !errors.Is(err, ErrHeadMoved) {
		t.Errorf("SetHead from an old head = %v", err)
	}
	upload(t, s, c.ID, "u", "x")
	if err := s.SetHead(c.ID, a, b); !errors.Is(err, ErrHeadMoved) {
		t.Errorf("SetHead past an upload = %v", err)
	}
	if got, err := s.Codebase(c.ID); err != nil || got.Files != 2 || got.Size != 2 {
		t.Errorf("after a refused SetHead: %+v, %v", got, err)
	}
	upload(t, s, c.ID, "v", "x")
	if err := s.SetHead(c.ID, tree.Digest{}, b); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Codebase(c.ID); err != nil || got.Head != b || got.Size != 2 || got.Files != 1 {
		t.Errorf("after SetHead: %+v, %v", got, err)
	}
	if err := s.SetHead(c.ID, b, tree.Sum([]byte("nothing"))); !errors.Is(err, ErrNotFound) {
		t.Errorf("SetHead to a tree that is not there = %v", err)
	}
}

func TestJournalFoldsWhenLong(t *testing.T) {
	s := openStore(t)
	c := create(t, s, "x")
	for i := range maxJournal + 1 {
		upload(t, s, c.ID, fmt.Sprintf("d%d/f%d", i%10, i), "same")
	}
	if n := len(s.journals[c.ID].files); n != 1 {
		t.Errorf("journal has %d entries, want 1", n)
	}
	if got, err := s.Codebase(c.ID); err != nil || got.Files != maxJournal+1 {
		t.Errorf("Codebase = %+v, %v", got, err)
	}
	wantClean(t, s)
}

func BenchmarkPutFile(b *testing.B) {
	s := openStore(b)
	c := create(b, s, "x")
	for i := 0; b.Loop(); i++ {
		upload(b, s, c.ID, fmt.Sprintf("dir%d/file%d", i/100, i), fmt.Sprint("content ", i))
	}
}

func TestOnlyACodebaseWithATimeoutExpires(t *testing.T) {
	s := openStore(t)
	c, err := s.CreateCodebase(Creation{Owner: 1, IdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.CreateCodebase(Creation{Owner: 1, IdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.KeepCodebase(kept.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{c.ID, kept.ID} {
		if err := s.ExpireCodebase(id); err != nil {
			t.Errorf("ExpireCodebase(%s): %v", id, err)
		}
	}
	if _, err := s.Owner(c.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("one with a timeout: %v", err)
	}
	if _, err := s.Owner(kept.ID); err != nil {
		t.Errorf("one that was kept: %v", err)
	}
	if err := s.ExpireCodebase(c.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that is gone: %v", err)
	}
}
