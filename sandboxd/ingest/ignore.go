package ingest

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// IgnoreFile is the name of the files whose patterns, in git's syntax, leave
// out what is below the directory they lie in.
const IgnoreFile = ".sandboxignore"

// Bounds on patterns. Going over one is an error.
const (
	maxIgnoreFile    = 1 << 20
	maxIgnoreTotal   = 4 << 20 // of all IgnoreFiles of a tree
	maxIgnorePattern = 4096
	maxIgnoreLines   = 2000 // of one file
)

var defaultIgnore = mustPatterns("__pycache__", "*.pyc", ".DS_Store")

// ignores decides what is left out. The latest pattern that matches decides:
// first come the defaults, then the IgnoreFiles from the root down, then the
// request's own patterns. As in git, what lies in an ignored directory is
// never looked at. It is immutable; a directory with an IgnoreFile has its own.
type ignores struct {
	base     string // directory of the file, without a slash at the end; the root is ""
	patterns []pattern
	up       *ignores
	request  []pattern
	spent    *atomic.Int64 // bytes of IgnoreFiles so far
}

// newIgnores returns what holds in the root before its IgnoreFile is read.
func newIgnores(request []string) (*ignores, error) {
	patterns, err := parsePatterns(request)
	if err != nil {
		return nil, fmt.Errorf("ignore patterns: %w", err)
	}
	return &ignores{patterns: defaultIgnore, request: patterns, spent: new(atomic.Int64)}, nil
}

// below returns what holds in a directory with an IgnoreFile.
func (g *ignores) below(dir string, content []byte) (*ignores, error) {
	if g.spent.Add(int64(len(content))) > maxIgnoreTotal {
		return nil, fmt.Errorf("%w: more than %d bytes of patterns in all", ErrTooLarge, maxIgnoreTotal)
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	patterns, err := parsePatterns(lines)
	if err != nil {
		return nil, err
	}
	return &ignores{base: dir, patterns: patterns, up: g, request: g.request, spent: g.spent}, nil
}

// ignored decides on a path relative to the root, whose last component is
// name.
func (g *ignores) ignored(path, name string, isDir bool) bool {
	if verdict := decide(g.request, path, name, isDir); verdict != undecided {
		return verdict == ignore
	}
	for f := g; f != nil; f = f.up {
		rel := path
		if f.base != "" {
			rel = path[len(f.base)+1:]
		}
		if verdict := decide(f.patterns, rel, name, isDir); verdict != undecided {
			return verdict == ignore
		}
	}
	return false
}

type decision uint8

const (
	undecided decision = iota
	ignore
	include
)

func decide(patterns []pattern, path, name string, isDir bool) decision {
	for i := len(patterns) - 1; i >= 0; i-- {
		if p := &patterns[i]; p.match(path, name, isDir) {
			if p.negated {
				return include
			}
			return ignore
		}
	}
	return undecided
}

// pattern is one line of an IgnoreFile.
type pattern struct {
	negated bool
	dirOnly bool
	byName  bool   // has no slash: matches at every depth
	prefix  string // what comes literally first
	rest    glob   // nil: nothing
	suffix  string // what follows the star of a suffixPattern
	kind    patternKind
}

type patternKind uint8

const (
	literalPattern patternKind = iota
	suffixPattern
	globPattern
)

func parsePatterns(lines []string) ([]pattern, error) {
	if len(lines) > maxIgnoreLines {
		return nil, fmt.Errorf("%w: %d lines, at most %d are possible", ErrTooLarge, len(lines), maxIgnoreLines)
	}
	var patterns []pattern
	for i, line := range lines {
		if len(line) > maxIgnorePattern {
			return nil, fmt.Errorf("%w: line %d has %d bytes, at most %d are possible", ErrTooLarge, i+1, len(line), maxIgnorePattern)
		}
		if p, ok := parsePattern(line); ok {
			patterns = append(patterns, p)
		}
	}
	return patterns, nil
}

func mustPatterns(lines ...string) []pattern {
	patterns, err := parsePatterns(lines)
	if err != nil {
		panic(err)
	}
	return patterns
}

// parsePattern reports false for a line that can match nothing: a comment, an
// empty or an invalid one.
func parsePattern(line string) (pattern, bool) {
	// Git reads lines as C strings.
	line, _, _ = strings.Cut(line, "\x00")
	if strings.HasPrefix(line, "#") {
		return pattern{}, false
	}
	line = trimSpaces(line)
	var p pattern
	line, p.negated = strings.CutPrefix(line, "!")
	line, p.dirOnly = strings.CutSuffix(line, "/")
	if line == "" {
		return pattern{}, false
	}
	p.byName = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")

	special := strings.IndexAny(line, `*?[\`)
	switch {
	case special < 0:
		p.kind, p.prefix = literalPattern, line
		return p, true
	case p.byName && line[0] == '*' && !strings.ContainsAny(line[1:], `*?[\`):
		p.kind, p.suffix = suffixPattern, line[1:]
		return p, true
	}
	// Like git, compile what follows the literal part on its own: stars there
	// count as the beginning of the pattern.
	p.kind, p.prefix = globPattern, line[:special]
	var ok bool
	if p.byName {
		p.prefix = ""
		p.rest, ok = compileGlob(line)
	} else {
		p.rest, ok = compileGlob(line[special:])
	}
	return p, ok
}

// trimSpaces removes spaces at the end that no backslash protects.
func trimSpaces(line string) string {
	end := -1
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			if end < 0 {
				end = i
			}
			continue
		case '\\':
			if i++; i == len(line) {
				return line
			}
		}
		end = -1
	}
	if end < 0 {
		return line
	}
	return line[:end]
}

func (p *pattern) match(path, name string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	text := path
	if p.byName {
		text = name
	}
	switch p.kind {
	case literalPattern:
		return text == p.prefix
	case suffixPattern:
		return strings.HasSuffix(text, p.suffix)
	}
	rest, ok := strings.CutPrefix(text, p.prefix)
	return ok && p.rest.match(rest)
}
