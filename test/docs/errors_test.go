package docs

import (
	"go/constant"
	"regexp"
	"strings"
	"testing"
)

// TestReasonsAreDocumented holds docs/errors.md to the reasons that the daemon
// has, and to the metadata that stands beside each in the source.
func TestReasonsAreDocumented(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|.*\\| (.*?) ?\\|$")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(readPage(t, "docs/errors.md"), -1) {
		documented[m[1]] = m[2]
	}
	reasons := 0
	for name, c := range constants(t, "sandboxd/api") {
		if !strings.HasPrefix(name, "Reason") {
			continue
		}
		reasons++
		reason := constant.StringVal(value(t, c.expr))
		row, ok := documented[reason]
		if !ok {
			t.Errorf("%s is not in docs/errors.md", reason)
			continue
		}
		delete(documented, reason)
		if c.comment == "-" {
			c.comment = ""
		}
		for key := range strings.FieldsFuncSeq(c.comment, func(r rune) bool { return r == ',' || r == ' ' }) {
			if key == "or" {
				continue
			}
			if key == "index" {
				key = "rule_index"
			}
			if !strings.Contains(row, "`"+key+"`") && !strings.Contains(row, "`"+key+"?`") {
				t.Errorf("docs/errors.md: the row of %s lacks the metadata %s", reason, key)
			}
		}
	}
	if reasons == 0 {
		t.Error("sandboxd/api declares no reasons")
	}
	for reason := range documented {
		t.Errorf("docs/errors.md has %s, which the daemon does not", reason)
	}
}
