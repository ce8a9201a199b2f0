package ingest

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// What comes with the manifest decides before anything is asked for.
func TestUploadAsksOnlyForWhatBelongs(t *testing.T) {
	in := New(openStore(t))
	c := newClient(IgnoreFile+"=*.log\nbuild\n", "a.log=1", "build/"+IgnoreFile+"=!*", "build/x=2", "d/"+IgnoreFile+"=!*.log\n"+IgnoreFile, "d/b.log=3", "e/"+IgnoreFile+"=")
	c.told = true
	result := mustUpload(t, c, in, UploadRequest{})
	want := []string{IgnoreFile, "d/", "d/b.log", "e/", "e/" + IgnoreFile}
	if got := paths(result.Snapshot); !slices.Equal(got, want) {
		t.Errorf("tree holds %q, want %q", got, want)
	}
	if want := []string{IgnoreFile, "d/b.log", "e/" + IgnoreFile}; !slices.Equal(c.sent, want) {
		t.Errorf("sent %q, want %q", c.sent, want)
	}
	if got, want := skipped(result), `ignored 3 ["a.log" "build" "d/.sandboxignore"]`; got != want {
		t.Errorf("skipped %s, want %s", got, want)
	}
}

func TestUploadLeavesOutWhatAnotherNameHides(t *testing.T) {
	for name, tt := range map[string]struct {
		specs []string
		links uint64 // of the first two
		want  []string
	}{
		"by its own name":             {[]string{"a=1", ".env=1", "b=1"}, 2, []string{"b"}},
		"in a hidden directory":       {[]string{"a=1", "secrets/k=1", "b=1"}, 2, []string{"b"}},
		"in a directory of its own":   {[]string{"priv/a.md=1", "priv/.env=1", "b=1"}, 2, []string{"b"}},
		"not if both are seen":        {[]string{"a=1", "b=1"}, 2, []string{"a", "b"}},
		"not for one that is ignored": {[]string{"a=1", "b.pyc=1"}, 2, []string{"a"}},
		"nor for one outside":         {[]string{"a=1", "b=1"}, 3, []string{"a", "b"}},
		"but for one nobody can see":  {[]string{"a=1", "b=1", "c=1", "secrets/"}, 3, []string{"c"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(tt.specs...)
			for i := range c.entries {
				c.entries[i].Unreadable = c.entries[i].Kind == tree.Dir
				if i < 2 {
					c.entries[i].Link, c.entries[i].Links = 7, tt.links
				}
			}
			policy := rules(t, "/?=read", "/?.pyc=read", "/priv/*.md=read", "/secrets/**=none@1", "**/.env=none@1")
			result := mustUpload(t, c, New(openStore(t)), UploadRequest{Policy: policy})
			if got := paths(result.Snapshot); !slices.Equal(got, tt.want) || !slices.Equal(c.sent, tt.want[:1]) {
				t.Errorf("tree holds %q, want %q; sent %q; skipped %s", got, tt.want, c.sent, skipped(result))
			}
		})
	}
}

func TestUploadOfADirectoryThatCannotBeRead(t *testing.T) {
	for name, tt := range map[string]struct {
		specs, ignore []string
		told          bool
		want          string
	}{
		"is an error":              {specs: []string{"a/db/"}, want: "a/db"},
		"hidden is none":           {specs: []string{"secrets/"}},
		"ignored is none":          {specs: []string{"a/db/"}, ignore: []string{"db"}},
		"ignored by a file, told":  {specs: []string{IgnoreFile + "=db", "a/db/"}, told: true},
		"ignored by a file, later": {specs: []string{IgnoreFile + "=db", "a/db/"}},
		"not ignored by it, told":  {specs: []string{IgnoreFile + "=dc", "a/db/"}, told: true, want: "a/db"},
		"not ignored by it, later": {specs: []string{IgnoreFile + "=dc", "a/db/"}, want: "a/db"},
		"the whole":                {specs: []string{"a/db/", "x=1"}, ignore: []string{"*"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(tt.specs...)
			c.told = tt.told
			for i := range c.entries {
				c.entries[i].Unreadable = c.entries[i].Kind == tree.Dir
			}
			result, err := c.upload(New(openStore(t)), UploadRequest{Policy: rules(t, "**/*=read", "**/secrets/**=none@1"), Ignore: tt.ignore})
			if err == nil {
				result.Snapshot.Close()
			}
			var at *PathError
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &at) || at.Path != tt.want || !errors.Is(err, fs.ErrPermission)) {
				t.Errorf("the upload ended with %v, want an error about %q", err, tt.want)
			}
		})
	}
}
