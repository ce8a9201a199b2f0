package docs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// block is one fenced code block.
type block struct {
	file     string
	line     int // of the opening fence
	language string
	text     string
	skip     string // why it is not run
	exits    int
	prints   string
}

// repository is the root of the working tree.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// blocks returns the code blocks of a page, with what the comments say.
func blocks(t *testing.T, name string) []block {
	t.Helper()
	var all []block
	var open *block
	var next block
	for i, line := range strings.Split(readPage(t, name), "\n") {
		switch {
		case open != nil && line == "```":
			all = append(all, *open)
			open, next = nil, block{}
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			next.file, next.line, next.language = name, i+1, strings.TrimPrefix(line, "```")
			b := next
			open = &b
		case strings.HasPrefix(line, "<!-- test: "):
			directive(t, &next, name, i+1, strings.TrimSuffix(strings.TrimPrefix(line, "<!-- test: "), " -->"))
		case line != "":
			if next != (block{}) {
				t.Errorf("%s:%d: a test comment belongs right above a code block", name, i+1)
			}
			next = block{}
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the code block does not end", name, open.line)
	}
	return all
}

func directive(t *testing.T, b *block, name string, line int, text string) {
	t.Helper()
	verb, rest, _ := strings.Cut(text, " ")
	var err error
	switch verb {
	case "skip":
		b.skip = rest
	case "prints":
		b.prints = rest
	case "exits":
		b.exits, err = strconv.Atoi(rest)
	default:
		t.Errorf("%s:%d: unknown test comment %q", name, line, text)
	}
	if rest == "" || err != nil {
		t.Errorf("%s:%d: test comment %q lacks its value", name, line, text)
	}
}
