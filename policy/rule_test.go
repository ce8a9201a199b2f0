package policy_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

func TestCompileRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		rule policy.Rule
		want string
	}{
		"an empty pattern":                 {glob("", read, 0), "empty"},
		"an empty alternative alone":       {glob("{,a}", read, 0), "empty"},
		"a pattern over 4 KiB":             {glob(strings.Repeat("a", 4097), read, 0), "4,096"},
		"a NUL":                            {glob("/a\x00b", read, 0), "NUL"},
		"a NUL in a directory":             {dir("/a\x00b", read, 0), "NUL"},
		"a NUL in a class":                 {glob("/[\x00-a]", read, 0), "NUL"},
		"a component ..":                   {glob("/a/../b", read, 0), "'..'"},
		"a component .. in the end":        {glob("/a/..", read, 0), "'..'"},
		"a component .. alone":             {glob("..", read, 0), "'..'"},
		"a component .. of a directory":    {dir("/a/../b", read, 0), "'..'"},
		"a component .. of a file":         {file("../a", read, 0), "'..'"},
		"a component .. in braces":         {glob("/{a,..}/b", read, 0), "'..'"},
		"a component .. made by braces":    {glob("/{a,.}./b", read, 0), "'..'"},
		"a component .. with escapes":      {glob(`/\.\./b`, read, 0), "'..'"},
		"a class without end":              {glob("/[a", read, 0), "'[' without ']'"},
		"a class that ends with escape":    {glob(`/[a\`, read, 0), "'[' without ']'"},
		"a class of nothing":               {glob("/[]", read, 0), "'[' without ']'"},
		"a class of all but nothing":       {glob("/[!]", read, 0), "'[' without ']'"},
		"a class with a range upside down": {glob("/[z-a]", read, 0), "upside down"},
		"a class with a slash":             {glob("/[a/b]", read, 0), "never match"},
		"a named class":                    {glob("/[[:alpha:]]", read, 0), "not supported"},
		"braces without end":               {glob("/{a,b", read, 0), "'{' without '}'"},
		"braces without end in braces":     {glob("/{a,{b}", read, 0), "'{' without '}'"},
		"braces that hold nothing":         {glob("/{}", read, 0), "no alternative"},
		"an end of braces alone":           {glob("/a}", read, 0), "'}' without '{'"},
		"a backslash at the end":           {glob(`/a\`, read, 0), "escapes nothing"},
		"a backslash at the end of braces": {glob(`/{a\`, read, 0), "escapes nothing"},
		"too many alternatives":            {glob("/"+strings.Repeat("{a,b}", 11), read, 0), "1,024"},
		"far too many alternatives":        {glob("/"+strings.Repeat("{,a}", 1000), read, 0), "1,024"},
		"alternatives that are too large":  {glob("/{"+strings.Repeat("a", 2000)+strings.Repeat(",", 40)+"}"+strings.Repeat("b", 2000), read, 0), "65,536 bytes"},
		"an unknown level":                 {policy.Rule{Pattern: "/a", Level: 4}, "level"},
		"an unknown type":                  {policy.Rule{Pattern: "/a", Type: 3}, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Compile(rules(glob("/fine", read, 0), tt.rule))
			var refused *policy.RuleError
			if !errors.As(err, &refused) {
				t.Fatalf("Compile(%v) = %v, want a RuleError", tt.rule, err)
			}
			if refused.Index != 1 || refused.Pattern != tt.rule.Pattern || !strings.Contains(refused.Reason, tt.want) {
				t.Errorf("Compile(%v) = %+v, want rule 1 and reason %q", tt.rule, refused, tt.want)
			}
			if len(err.Error()) > 600 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestLimitsThemselvesAreTaken(t *testing.T) {
	for name, list := range map[string][]policy.Rule{
		"1,000 rules":                 slices.Repeat(rules(glob("/a/*", read, 0)), 1000),
		"1,000 rules of 4 KiB":        slices.Repeat(rules(glob(strings.Repeat("a", 4096), read, 0)), 1000),
		"a pattern of 4 KiB":          rules(glob(strings.Repeat("/a", 2048), read, 0)),
		"4 KiB of stars":              rules(glob(strings.Repeat("*a", 2048), read, 0)),
		"1,024 alternatives":          rules(glob("/"+strings.Repeat("{a,b}", 10), read, 0)),
		"braces nested 1,000 deep":    rules(glob(strings.Repeat("{a,", 1000)+"b"+strings.Repeat("}", 1000), read, 0)),
		"braces of one, 2,000 deep":   rules(glob(strings.Repeat("{", 2000)+"b"+strings.Repeat("}", 2000), read, 0)),
		"priorities as far as can be": rules(glob("/a", read, math.MaxInt32), glob("/a", none, math.MinInt32)),
		"no rule":                     nil,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := policy.Compile(list); err != nil {
				t.Errorf("Compile() = %v", err)
			}
		})
	}
}

func TestLimitsOfAPolicy(t *testing.T) {
	for name, tt := range map[string]struct {
		rules []policy.Rule
		index int
	}{
		"1,001 rules":                 {slices.Repeat(rules(glob("/a", read, 0)), 1001), 1000},
		"more than 65,536 components": {slices.Repeat(rules(glob(strings.Repeat("/a", 2000), read, 0)), 40), 32},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Compile(tt.rules)
			var refused *policy.RuleError
			if !errors.As(err, &refused) || refused.Index != tt.index {
				t.Errorf("Compile() = %v, want a RuleError for rule %d", err, tt.index)
			}
		})
	}
}

func TestParseRule(t *testing.T) {
	for name, tt := range map[string]struct {
		spec string
		want policy.Rule
	}{
		"pattern and level":         {"/a=read", glob("/a", read, 0)},
		"with a priority":           {"**/.env*=none@100", glob("**/.env*", none, 100)},
		"the last = splits":         {"/a=b=c=write@7", glob("/a=b=c", write, 7)},
		"an @ in the pattern":       {"/a@2=view", glob("/a@2", view, 0)},
		"the least priority":        {"/a=read@-2147483648", glob("/a", read, math.MinInt32)},
		"the greatest priority":     {"/a=read@2147483647", glob("/a", read, math.MaxInt32)},
		"spaces belong to patterns": {" a =read", glob(" a ", read, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := policy.ParseRule(tt.spec); got != tt.want || err != nil {
				t.Errorf("ParseRule(%q) = %v, %v, want %v", tt.spec, got, err, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct{ spec, want string }{
		"no =":                 {"/a", "PATTERN=LEVEL"},
		"nothing":              {"", "PATTERN=LEVEL"},
		"an unknown level":     {"/a=reed", "unknown level"},
		"a level in capitals":  {"/a=READ", "unknown level"},
		"no level":             {"/a=", "unknown level"},
		"no pattern":           {"=read", "empty"},
		"no priority":          {"/a=read@", "32 bits"},
		"a fraction":           {"/a=read@1.5", "32 bits"},
		"a priority too great": {"/a=read@2147483648", "32 bits"},
		"a bad pattern":        {"/[a=read", "'['"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := policy.ParseRule(tt.spec)
			var refused *policy.RuleError
			if !errors.As(err, &refused) || refused.Index != policy.NoRule || !strings.Contains(refused.Reason, tt.want) {
				t.Errorf("ParseRule(%q) = %v, want a RuleError with reason %q", tt.spec, err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for i, name := range []string{"none", "view", "read", "write"} {
		level, err := policy.ParseLevel(name)
		if level != policy.Level(i) || err != nil || level.String() != name {
			t.Errorf("ParseLevel(%q) = %v, %v", name, level, err)
		}
	}
	for i, name := range []string{"glob", "directory", "file"} {
		typ, err := policy.ParsePatternType(name)
		if typ != policy.PatternType(i) || err != nil || typ.String() != name {
			t.Errorf("ParsePatternType(%q) = %v, %v", name, typ, err)
		}
	}
	if _, err := policy.ParsePatternType("regexp"); err == nil {
		t.Error(`ParsePatternType("regexp") = nil`)
	}
	if got := policy.Level(9).String(); got != "level(9)" {
		t.Errorf("Level(9).String() = %q", got)
	}
}

func TestRuleString(t *testing.T) {
	for want, rule := range map[string]policy.Rule{
		"**/.env* none@100 (preset agent-safe)": {Pattern: "**/.env*", Level: none, Priority: 100, Preset: "agent-safe"},
		"directory /out write@-1":               dir("/out", write, -1),
		`"/a b" read@0`:                         glob("/a b", read, 0),
		`"/\x1b[2J" read@0`:                     glob("/\x1b[2J", read, 0),
		`"/\xff" read@0`:                        glob("/\xff", read, 0),
		`/\* read@0`:                            glob(`/\*`, read, 0),
		`"/a\u202eb" read@0`:                    glob("/a\u202eb", read, 0),
		`"" read@0`:                             glob("", read, 0),
		"/é read@0":                             glob("/é", read, 0),
	} {
		if got := rule.String(); got != want {
			t.Errorf("String() = %s, want %s", got, want)
		}
	}
}

func TestPolicyKeepsItsRules(t *testing.T) {
	given := rules(glob("/a", read, 0), glob("/b", none, 0))
	p := mustCompile(t, given)
	given[0].Level = write
	p.Rules()[1].Level = write
	if got := p.Decide("/a").Level; got != read {
		t.Errorf("Decide(/a) = %v after the caller's list changed, want read", got)
	}
	if got := p.Rules(); got[0].Level != read || got[1].Level != none {
		t.Errorf("Rules() = %v, want what Compile was given", got)
	}
}

func TestDigest(t *testing.T) {
	base := rules(glob("/a/**", read, 0), glob("**/b", none, 5))
	for name, tt := range map[string]struct {
		rules []policy.Rule
		same  bool
	}{
		"the same rules":               {rules(glob("/a/**", read, 0), glob("**/b", none, 5)), true},
		"another order, same ranks":    {rules(glob("**/b", none, 5), glob("/a/**", read, 0)), true},
		"other priorities, same ranks": {rules(glob("/a/**", read, -3), glob("**/b", none, 7)), true},
		"a pattern written otherwise":  {rules(glob("a//**/**", read, 0), glob("/**/b/**", none, 5)), true},
		"another preset":               {rules(glob("/a/**", read, 0), policy.Rule{Pattern: "**/b", Level: none, Priority: 5, Preset: "p"}), true},
		"a rule that cannot decide":    {rules(glob("/a/**", view, -1), glob("/a/**", read, 0), glob("**/b", none, 5)), true},
		"type directory for /**":       {rules(dir("/a", read, 0), glob("**/b", none, 5)), true},
		"another level":                {rules(glob("/a/**", write, 0), glob("**/b", none, 5)), false},
		"another pattern":              {rules(glob("/a/*", read, 0), glob("**/b", none, 5)), false},
		"ranks exchanged":              {rules(glob("/a/**", read, 6), glob("**/b", none, 5)), false},
		"a rule less":                  {rules(glob("/a/**", read, 0)), false},
		"no rule":                      {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := mustCompile(t, tt.rules).Digest() == mustCompile(t, base).Digest()
			if got != tt.same {
				t.Errorf("Digest() of %v equal to that of %v: %v, want %v", tt.rules, base, got, tt.same)
			}
		})
	}
}

func TestDecideOnOddPaths(t *testing.T) {
	p := mustCompile(t, rules(glob("**", read, 0), glob("/a/b", write, 1)))
	for path, want := range map[string]policy.Level{
		"/a/b": write, "a/b": write, "//a//b/": write, "/./a/./b/.": write,
		"": read, "/": read, "/a/../a/b": none, "..": none, "/a\x00": none, "/a/b\x00": none,
	} {
		if got := p.Decide(path).Level; got != want {
			t.Errorf("Decide(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestPresetList(t *testing.T) {
	groups := map[string][]string{
		"agent-safe": {"core"}, "development": {"core", "debug"}, "full-access": {"core", "debug"},
		"read-only": {"core"}, "view-only": {"core"},
	}
	var names []string
	for _, info := range policy.Presets() {
		names = append(names, info.Name)
		if !slices.Equal(info.Groups, groups[info.Name]) {
			t.Errorf("Presets(): %s has groups %v, want %v", info.Name, info.Groups, groups[info.Name])
		}
		if info.Summary == "" || strings.Contains(info.Summary, "\n") {
			t.Errorf("Presets(): the summary of %s is %q, want one line", info.Name, info.Summary)
		}
		if !slices.Equal(info.Rules, mustPreset(t, info.Name)) {
			t.Errorf("Preset(%q) differs from Presets()", info.Name)
		}
		for _, r := range info.Rules {
			if r.Preset != info.Name {
				t.Errorf("Preset(%q): rule %v is of preset %q", info.Name, r, r.Preset)
			}
		}
	}
	if len(names) != len(groups) || !slices.IsSorted(names) {
		t.Errorf("Presets() = %v, want all five, sorted", names)
	}
	if _, err := policy.Preset("nope"); !errors.Is(err, policy.ErrUnknownPreset) || !strings.Contains(err.Error(), "agent-safe, ") {
		t.Errorf("Preset(nope) = %v, want ErrUnknownPreset and the names", err)
	}
	policy.Presets()[0].Rules[0].Level = write
	if got := mustPreset(t, "agent-safe")[0].Level; got != read {
		t.Errorf("Preset(agent-safe) has %v after a caller changed its copy", got)
	}
}
