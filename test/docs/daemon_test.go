package docs

import (
	"regexp"
	"strings"
	"testing"
)

// TestDaemonFlagsAreDocumented holds the last section of docs/cli.md to what
// cmd/sandboxd declares.
func TestDaemonFlagsAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(readPage(t, "docs/cli.md"), "\n## sandboxd\n")
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`Var\(&[^,]+, "([a-z-]+)"`).FindAllStringSubmatch(readPage(t, "cmd/sandboxd/main.go"), -1) {
		declared[m[1]] = true
		if !strings.Contains(section, "`--"+m[1]+"`") {
			t.Errorf("docs/cli.md lacks sandboxd's --%s", m[1])
		}
	}
	if len(declared) == 0 {
		t.Error("cmd/sandboxd/main.go declares no flags that this test understands")
	}
	for _, m := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(section, -1) {
		if !declared[m[1]] {
			t.Errorf("docs/cli.md has --%s, which sandboxd does not", m[1])
		}
	}
}
