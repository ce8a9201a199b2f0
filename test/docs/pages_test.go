package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var readmes = []string{"README.md", "README.zh-CN.md"}

// pages are all pages of the repository, relative to its root.
func pages(t *testing.T) []string {
	t.Helper()
	all := append(slices.Clone(readmes), "ARCHITECTURE.md", "SECURITY.md")
	for _, dir := range []string{"docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(repository(t), dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".md") {
				rel, rerr := filepath.Rel(repository(t), path)
				all, err = append(all, rel), rerr
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestEveryBlockSaysItsLanguage(t *testing.T) {
	known := []string{"bash", "python", "text"}
	for _, name := range readmes {
		for _, b := range blocks(t, name) {
			if !slices.Contains(known, b.language) {
				t.Errorf("%s:%d: language %q, want one of %q", name, b.line, b.language, known)
			}
		}
	}
}

func TestReadmesHaveTheSameBlocks(t *testing.T) {
	english, chinese := blocks(t, readmes[0]), blocks(t, readmes[1])
	if len(english) != len(chinese) {
		t.Fatalf("%s has %d code blocks, %s %d", readmes[0], len(english), readmes[1], len(chinese))
	}
	for i, e := range english {
		c := chinese[i]
		if e.language != c.language || code(e.text) != code(c.text) || e.exits != c.exits || e.prints != c.prints || (e.skip == "") != (c.skip == "") {
			t.Errorf("%s:%d and %s:%d differ", e.file, e.line, c.file, c.line)
		}
	}
}

// code is a block without its comments, which are in the page's language.
func code(text string) string {
	return regexp.MustCompile(`(?m)\s*#.*$`).ReplaceAllString(text, "")
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	for _, name := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(readPage(t, name), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(repository(t), filepath.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s: %v", name, target, err)
			}
		}
	}
}
