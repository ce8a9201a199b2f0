package docs

import (
	"go/constant"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/host"
)

// TestLimitsAreDocumented holds the numbers in docs/limits.md to those in the
// source.
func TestLimitsAreDocumented(t *testing.T) {
	page := readPage(t, "docs/limits.md")
	for row, tt := range map[string]struct{ dir, name string }{
		"rules of a policy":                             {"policy", "MaxRules"},
		"bytes of a pattern":                            {"policy", "MaxPattern"},
		"alternatives that the braces":                  {"policy", "maxAlternatives"},
		"mounts that a plan may need":                   {"policy", "MaxPlan"},
		"entries of a snapshot":                         {"sandboxd/store/tree", "MaxNodes"},
		"bytes of a name":                               {"sandboxd/store/tree", "MaxName"},
		"bytes of a path":                               {"sandboxd/store/tree", "MaxPath"},
		"unread output of a process":                    {"sandboxd/process", "MaxOutput"},
		"the same of all processes of one user":         {"sandboxd/process", "MaxOwnerOutput"},
		"processes of a sandbox that have ended":        {"sandboxd/process", "MaxEnded"},
		"bytes of a command in a list":                  {"sandboxd/api", "maxCommandShown"},
		"arguments of a command":                        {"sandboxd/api", "maxArgs"},
		"variables of a command":                        {"sandboxd/api", "maxEnv"},
		"labels of a sandbox":                           {"sandboxd/api", "maxLabels"},
		"bytes of a codebase's name":                    {"sandboxd/api", "maxName"},
		"entries of one page":                           {"sandboxd/api", "maxPage"},
		"entries of one file listing":                   {"sandboxd/worker", "MaxListing"},
		"open sessions of one sandbox":                  {"sandboxd/session", "MaxPerSandbox"},
		"open sessions of one user":                     {"sandboxd/session", "MaxPerOwner"},
		"bytes of the state that bash is given back":    {"sandboxd/session", "maxState"},
		"processes and threads, if not said":            {"sandboxd/runtime", "DefaultPids"},
		"`/tmp`, `/home/agent` and `/dev/shm` together": {"sandboxd/runtime/native", "defaultScratch"},
		"netlink sockets of a sandbox":                  {"sandboxd/worker", "MaxNetlink"},
		"commands and calls on files of one sandbox":    {"sandboxd/runtime", "MaxCalls"},
		"pseudo-terminals of a sandbox":                 {"sandboxd/worker", "MaxTerminals"},
		"output of all commands of a sandbox":           {"sandboxd/sandbox", "DefaultOutputRate"},
		"the least output rate":                         {"sandboxd/sandbox", "MinOutputRate"},
		"what passes at once after a rest":              {"sandboxd/sandbox", "OutputBurst"},
		"a memory limit (`memory_bytes`)":               {"sandboxd/runtime", "MinMemory"},
		"a CPU quota (`cpu_quota`)":                     {"sandboxd/runtime", "MaxCPUQuota"},
		"CPU shares (`cpu_shares`)":                     {"sandboxd/runtime", "MaxCPUShares"},
		"a limit on processes and threads":              {"sandboxd/runtime", "MaxPids"},
		"a disk limit (`disk_bytes`)":                   {"sandboxd/disk", "MinBytes"},
		"files, directories and links that a delta":     {"sandboxd/disk", "BytesPerInode"},
		"files and directories in these three":          {"sandboxd/worker", "scratchInodes"},
	} {
		c, ok := constants(t, tt.dir)[tt.name]
		if !ok {
			t.Errorf("%s has no constant %s any more", tt.dir, tt.name)
			continue
		}
		n, exact := constant.Int64Val(value(t, c.expr))
		if !exact {
			t.Errorf("%s.%s is not a number", tt.dir, tt.name)
		}
		_, line, found := strings.Cut(page, "| "+row)
		line, _, _ = strings.Cut(line, "\n")
		if !found || !strings.Contains(line, thousands(n)) && !strings.Contains(line, binary(n)) {
			t.Errorf("docs/limits.md: the row %q should say %s (%s in %s)", row, thousands(n), tt.name, tt.dir)
		}
	}
}

// TestLossesAreDocumented holds docs/limits.md to the losses that the source
// names.
func TestLossesAreDocumented(t *testing.T) {
	page := readPage(t, "docs/limits.md")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(page[strings.Index(page, "## What the host may lack"):], -1) {
		documented[m[1]] = true
	}
	for _, l := range host.Known() {
		if !documented[l.Name] {
			t.Errorf("docs/limits.md lacks the loss %s", l.Name)
		}
		delete(documented, l.Name)
	}
	for name := range documented {
		t.Errorf("docs/limits.md has the loss %s, which there is not", name)
	}
}

// thousands writes 16777216 as 16,777,216.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// binary writes 268435456 as 256 MiB.
func binary(n int64) string {
	switch {
	case n > 0 && n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + " GiB"
	case n > 0 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return thousands(n)
}
