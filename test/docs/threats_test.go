package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryPromiseHasItsTest holds docs/threat-model.md to tests that exist.
func TestEveryPromiseHasItsTest(t *testing.T) {
	_, promises, _ := strings.Cut(readPage(t, "docs/threat-model.md"), "\n## What is promised\n")
	promises, _, _ = strings.Cut(promises, "\n## ")
	link := regexp.MustCompile(`\[(Test\w+)\]\(\.\./([\w/.-]+_test\.go)\)`)
	rows := 0
	for line := range strings.Lines(promises) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise |") {
			continue
		}
		rows++
		tests := link.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("no test is linked in %s", line)
		}
		for _, m := range tests {
			source, err := os.ReadFile(filepath.Join(repository(t), m[2]))
			if err != nil || !strings.Contains(string(source), "\nfunc "+m[1]+"(t *testing.T)") {
				t.Errorf("%s has no test %s (%v)", m[2], m[1], err)
			}
		}
		_, cell, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), " |"), " | ")
		if rest := strings.Trim(link.ReplaceAllString(cell, ""), ", "); rest != "" {
			t.Errorf("%q is no link to a test", rest)
		}
	}
	if rows < 10 {
		t.Errorf("the threat model makes only %d promises", rows)
	}
}
