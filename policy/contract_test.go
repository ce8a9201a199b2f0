package policy_test

import (
	"math"
	"testing"

	"github.com/agentfense/agentfense/policy"
)

const (
	none  = policy.None
	view  = policy.View
	read  = policy.Read
	write = policy.Write
)

func glob(pattern string, level policy.Level, priority int32) policy.Rule {
	return policy.Rule{Pattern: pattern, Level: level, Priority: priority}
}

func dir(pattern string, level policy.Level, priority int32) policy.Rule {
	return policy.Rule{Pattern: pattern, Type: policy.Directory, Level: level, Priority: priority}
}

func file(pattern string, level policy.Level, priority int32) policy.Rule {
	return policy.Rule{Pattern: pattern, Type: policy.File, Level: level, Priority: priority}
}

func rules(r ...policy.Rule) []policy.Rule { return r }

func mustCompile(t testing.TB, rules []policy.Rule) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatalf("Compile(%v) = %v", rules, err)
	}
	return p
}

func mustPreset(t testing.TB, name string) []policy.Rule {
	t.Helper()
	rules, err := policy.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// TestOneRule is the section "Patterns": which paths one rule reaches.
func TestOneRule(t *testing.T) {
	for name, tt := range map[string]struct {
		rule  policy.Rule
		path  string
		match bool
	}{
		"nothing matches by itself":                   {glob("/a", read, 0), "/b", false},
		"glob is the default type":                    {policy.Rule{Pattern: "/*.go", Level: read}, "/a.go", true},
		"directory is itself":                         {dir("/a", read, 0), "/a", true},
		"directory is everything below":               {dir("/a", read, 0), "/a/b/c", true},
		"directory is no prefix of a name":            {dir("/src", read, 0), "/src2/a.go", false},
		"directory is not what is above":              {dir("/a/b", read, 0), "/a", false},
		"directory is literal":                        {dir("/*", read, 0), "/a", false},
		"directory matches its own star":              {dir("/*", read, 0), "/*/x", true},
		"directory / is everything":                   {dir("/", read, 0), "/a/b", true},
		"directory / is the root":                     {dir("/", read, 0), "/", true},
		"directory takes a slash at its end":          {dir("/out/", write, 0), "/out/a", true},
		"file is exact":                               {file("/a", read, 0), "/a", true},
		"file is nothing below":                       {file("/a", read, 0), "/a/b", false},
		"file is literal":                             {file("/[ab]", read, 0), "/a", false},
		"file matches its own brackets":               {file("/[ab]", read, 0), "/[ab]", true},
		"file takes a backslash as it is":             {file(`/\a`, read, 0), `/\a`, true},
		"file without a slash gets one":               {file("a", read, 0), "/a", true},
		"*.md matches at the root":                    {glob("*.md", read, 0), "/a.md", true},
		"*.md matches at the root only":               {glob("*.md", read, 0), "/docs/a.md", false},
		".env matches at the root":                    {glob(".env", none, 0), "/.env", true},
		".env matches at the root only":               {glob(".env", none, 0), "/a/.env", false},
		"**/.env matches at the root":                 {glob("**/.env", none, 0), "/.env", true},
		"**/.env matches everywhere":                  {glob("**/.env", none, 0), "/a/b/.env", true},
		"** is no component":                          {glob("/a/**/b", read, 0), "/a/b", true},
		"** is one component":                         {glob("/a/**/b", read, 0), "/a/x/b", true},
		"** is many components":                       {glob("/a/**/b", read, 0), "/a/x/y/z/b", true},
		"** does not match part of a name":            {glob("/a/**/b", read, 0), "/a/xb", false},
		"** at the start":                             {glob("/**/b", read, 0), "/x/y/b", true},
		"** alone is everything":                      {glob("**", read, 0), "/x/y", true},
		"** alone is the root too":                    {glob("**", read, 0), "/", true},
		"** twice":                                    {glob("/**/a/**/b", read, 0), "/x/a/y/z/b", true},
		"** twice with nothing":                       {glob("/**/a/**/b", read, 0), "/a/b", true},
		"** doubled is **":                            {glob("/a/**/**/b", read, 0), "/a/b", true},
		"** inside a component stays inside":          {glob("/a**b", read, 0), "/ax/yb", false},
		"** inside a component is *":                  {glob("/a**b", read, 0), "/axyb", true},
		"*** is no **":                                {glob("/***", read, 0), "/a/b", false},
		"* stays inside one component":                {glob("/a/*", read, 0), "/a/b/c", false},
		"* matches any bytes":                         {glob("/a*c", read, 0), "/abbbc", true},
		"* matches no bytes":                          {glob("/a*c", read, 0), "/ac", true},
		"* matches a leading dot":                     {glob("/*", read, 0), "/.env", true},
		"* is no zero components":                     {glob("/a/*", read, 0), "/a", false},
		"**/* is not the root":                        {glob("**/*", read, 0), "/", false},
		"**/* is everything else":                     {glob("**/*", read, 0), "/a/b/c", true},
		"? is one byte":                               {glob("/a?", read, 0), "/ab", true},
		"? is not no byte":                            {glob("/a?", read, 0), "/a", false},
		"? is no slash":                               {glob("/a?b", read, 0), "/a/b", false},
		"? is one byte of two":                        {glob("/?", read, 0), "/é", false},
		"?? is both bytes of é":                       {glob("/??", read, 0), "/é", true},
		"??* is not one byte":                         {glob("/??*", read, 0), "/a", false},
		"class":                                       {glob("/[a-c]", read, 0), "/b", true},
		"class leaves out others":                     {glob("/[a-c]", read, 0), "/d", false},
		"class with !":                                {glob("/[!a]", read, 0), "/b", true},
		"class with ! leaves out":                     {glob("/[!a]", read, 0), "/a", false},
		"class with ^":                                {glob("/[^a]", read, 0), "/b", true},
		"class with ^ leaves out":                     {glob("/[^a]", read, 0), "/a", false},
		"class is no slash":                           {glob("/a[!b]c", read, 0), "/a/c", false},
		"class takes ] first":                         {glob("/[]]", read, 0), "/]", true},
		"class takes ] after !":                       {glob("/[!]]", read, 0), "/]", false},
		"class takes - last":                          {glob("/[a-]", read, 0), "/-", true},
		"class takes ! later":                         {glob("/[a!]", read, 0), "/!", true},
		"class escapes":                               {glob(`/[\]x]`, read, 0), "/]", true},
		"class takes * as it is":                      {glob("/[*]", read, 0), "/x", false},
		"class takes bytes that are no text":          {glob("/[\x80-\xff]x", read, 0), "/\xc3x", true},
		"class is a byte of text, not a letter":       {glob("/[é]", read, 0), "/é", false},
		"alternatives, the first":                     {glob("/*.{go,md}", read, 0), "/a.go", true},
		"alternatives, the last":                      {glob("/*.{go,md}", read, 0), "/a.md", true},
		"alternatives only":                           {glob("/*.{go,md}", read, 0), "/a.py", false},
		"alternatives across components":              {glob("/{a/b,c}/d", read, 0), "/a/b/d", true},
		"alternatives of different depth":             {glob("/{a/b,c}/d", read, 0), "/c/d", true},
		"alternatives nest":                           {glob("/{a,{b,c{d,e}}}", read, 0), "/ce", true},
		"alternatives may be empty":                   {glob("/a{,b}", read, 0), "/a", true},
		"alternatives may be **":                      {glob("/{a,**}/b", read, 0), "/x/y/b", true},
		"alternatives escape a comma":                 {glob(`/{a\,b,c}`, read, 0), "/a,b", true},
		"braces of one":                               {glob("/{a}", read, 0), "/a", true},
		"a class in braces keeps its comma":           {glob("/{[,],b}", read, 0), "/,", true},
		"a comma outside braces is a comma":           {glob("/a,b", read, 0), "/a,b", true},
		`\ escapes *`:                                 {glob(`/\*`, read, 0), "/a", false},
		`\* is a star`:                                {glob(`/\*`, read, 0), "/*", true},
		`\ escapes [`:                                 {glob(`/\[a]`, read, 0), "/[a]", true},
		`\ escapes {`:                                 {glob(`/\{a,b\}`, read, 0), "/{a,b}", true},
		`\ escapes itself`:                            {glob(`/\\`, read, 0), `/\`, true},
		`\ escapes what needs none`:                   {glob(`/\a`, read, 0), "/a", true},
		"case matters":                                {glob("/README", read, 0), "/readme", false},
		"names are bytes":                             {glob("/\xff*", read, 0), "/\xff\xfe", true},
		"names are not normalized":                    {glob("/é", read, 0), "/e\u0301", false},
		"X/** is X":                                   {glob("/secrets/**", read, 0), "/secrets", true},
		"X/** is below X":                             {glob("/secrets/**", read, 0), "/secrets/a/b", true},
		"X/** is not beside X":                        {glob("/secrets/**", read, 0), "/secrets.txt", false},
		"X/* is not X":                                {glob("/secrets/*", read, 0), "/secrets", false},
		"none spreads":                                {glob("**/credentials*", none, 0), "/a/credentials.d/x/y", true},
		"none from X/* spreads too":                   {glob("/a/*", none, 0), "/a/b/c", true},
		"none from X/* leaves X":                      {glob("/a/*", none, 0), "/a", false},
		"none of type file spreads":                   {file("/a", none, 0), "/a/b/c", true},
		"none on the root spreads":                    {glob("/", none, 0), "/a/b", true},
		"view spreads":                                {glob("/a", view, 0), "/a/b/c", true},
		"view of type file spreads":                   {file("/a", view, 0), "/a/b", true},
		"what spreads does not reach beside":          {glob("/a", none, 0), "/ab", false},
		"read does not spread":                        {glob("/a", read, 0), "/a/b", false},
		"write does not spread":                       {glob("/a", write, 0), "/a/b", false},
		"write of type file does not spread":          {file("/a", write, 0), "/a/b", false},
		"write spreads by /**":                        {glob("/a/**", write, 0), "/a/b/c", true},
		"write spreads by type directory":             {dir("/a", write, 0), "/a/b/c", true},
		"a slash at the end says nothing":             {glob("/a/", read, 0), "/a", true},
		"slashes too many say nothing":                {glob("//a///b", read, 0), "/a/b", true},
		"components . say nothing":                    {glob("./a/./b", read, 0), "/a/b", true},
		"/ is the root":                               {glob("/", read, 0), "/", true},
		"/ is nothing else":                           {glob("/", read, 0), "/a", false},
		"**/secrets/** covers what the contract says": {glob("**/secrets/**", none, 0), "/a/b/secrets/c/d", true},
		"**/.git/** covers the root's .git":           {glob("**/.git/**", none, 0), "/.git/config", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, rules(tt.rule))
			want := policy.Verdict{Level: none, Rule: policy.NoRule}
			if tt.match {
				want = policy.Verdict{Level: tt.rule.Level, Rule: 0}
			}
			if got := p.Decide(tt.path); got != want {
				t.Errorf("Decide(%q) with %v = %v, want %v", tt.path, tt.rule, got, want)
			}
		})
	}
}

// TestWhichRuleWins is the section of that name.
func TestWhichRuleWins(t *testing.T) {
	for name, tt := range map[string]struct {
		rules []policy.Rule
		path  string
		want  int
	}{
		"no rule":                                 {nil, "/a", policy.NoRule},
		"priority before type":                    {rules(file("/a", read, 0), glob("/*", none, 1)), "/a", 1},
		"priority before place":                   {rules(glob("/a", read, 1), glob("/a", none, 0)), "/a", 0},
		"highest and lowest priority":             {rules(glob("/a", read, math.MaxInt32), glob("/a", none, math.MinInt32)), "/a", 0},
		"negative priority is below zero":         {rules(glob("/a", read, 0), glob("/a", none, -1)), "/a", 0},
		"file before directory":                   {rules(file("/a", read, 0), dir("/a", write, 0)), "/a", 0},
		"directory before glob":                   {rules(dir("/a", read, 0), glob("/a/b/c/d", write, 0)), "/a/b/c/d", 0},
		"file before a longer directory":          {rules(file("/a", none, 0), dir("/a/b/c", write, 0)), "/a/b/c", 0},
		"longer prefix":                           {rules(glob("/src/*", read, 0), glob("/*/a", none, 0)), "/src/a", 0},
		"longer prefix, the other way round":      {rules(glob("/*/a", none, 0), glob("/src/*", read, 0)), "/src/a", 1},
		"prefix before wildcards":                 {rules(glob("/s*/*/*", read, 0), glob("/*/a/b", none, 0)), "/s/a/b", 0},
		"prefix counts bytes up to the wildcard":  {rules(glob("/ab*", read, 0), glob("/a*", none, 0)), "/abc", 0},
		"prefix counts the slash before a **":     {rules(glob("/a/**", read, 0), glob("/a", none, 0)), "/a", 0},
		"prefix counts an escaped wildcard":       {rules(glob(`/\*a*`, read, 0), glob("/?a*", none, 0)), "/*ab", 0},
		"prefix ends at a class":                  {rules(glob("/ab?", read, 0), glob("/a[b]c", none, 0)), "/abc", 0},
		"prefix ends at braces":                   {rules(glob("/s*/x", read, 0), glob("/{src,lib}/x", none, 0)), "/src/x", 0},
		"longer directory":                        {rules(dir("/a/b", read, 0), dir("/a", none, 0)), "/a/b/c", 0},
		"fewer wildcard components":               {rules(glob("/*/b", read, 0), glob("/*/?", none, 0)), "/a/b", 0},
		"two wildcards are one component":         {rules(glob("/*a*", read, 0), glob("/*/**", none, 0)), "/xax", 0},
		"** is a wildcard component":              {rules(glob("/*/b", read, 0), glob("/**/*/b", none, 0)), "/a/b", 0},
		"more literal bytes":                      {rules(glob("/*.go", read, 0), glob("/*o", none, 0)), "/a.go", 0},
		"braces count their shortest alternative": {rules(glob("/{a,bcd}x", read, 0), glob("/*x", none, 0)), "/ax", 0},
		"braces count no more than that":          {rules(glob("/*bcd", none, 0), glob("/{a,xbcd}", read, 0)), "/xbcd", 0},
		"an escaped wildcard is a literal byte":   {rules(glob(`/?\*`, read, 0), glob("/?*", none, 0)), "/a*", 0},
		"the later one":                           {rules(glob("/a", read, 0), glob("/a", none, 0)), "/a", 1},
		"the later one of equal measure":          {rules(glob("/?b", read, 0), glob("/?[b]", none, 0), glob("/*b", view, 0)), "/ab", 2},
		"the user's after the preset's":           {rules(policy.Rule{Pattern: "**/*", Level: view, Preset: "view-only"}, glob("**/*", read, 0)), "/a", 1},
		"none does not win by itself":             {rules(glob("/a/**", none, 0), glob("/a/b", read, 1)), "/a/b", 1},
		"what spreads loses to what outranks it":  {rules(glob("**/credentials*", none, 0), glob("/credentials/public", read, 1)), "/credentials/public", 1},
		"what spreads wins over what it outranks": {rules(glob("/credentials*", none, 1), glob("/credentials/public", read, 0)), "/credentials/public", 0},
		"the rank of a rule does not depend on the path": {
			rules(glob("/{a/b/c/d,x}", read, 0), glob("/a/*/c/d", none, 0)), "/a/b/c/d", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, tt.rules)
			if got := p.Decide(tt.path).Rule; got != tt.want {
				t.Errorf("Decide(%q).Rule = %d, want %d", tt.path, got, tt.want)
			}
		})
	}
}

// TestPresets is the table of presets.
func TestPresets(t *testing.T) {
	for name, tt := range map[string]struct {
		preset string
		path   string
		want   policy.Level
	}{
		"view-only views":                    {"view-only", "/a/b", view},
		"read-only reads":                    {"read-only", "/a/b", read},
		"agent-safe reads":                   {"agent-safe", "/a/b", read},
		"agent-safe writes /output":          {"agent-safe", "/output/a/b", write},
		"agent-safe writes /output itself":   {"agent-safe", "/output", write},
		"agent-safe writes /tmp":             {"agent-safe", "/tmp/a", write},
		"agent-safe reads other outputs":     {"agent-safe", "/a/output/b", read},
		"agent-safe hides .git":              {"agent-safe", "/.git", none},
		"agent-safe hides .git's content":    {"agent-safe", "/.git/config", none},
		"agent-safe hides .git further down": {"agent-safe", "/a/.git/config", none},
		"agent-safe shows .gitignore":        {"agent-safe", "/.gitignore", read},
		"agent-safe hides .env":              {"agent-safe", "/.env", none},
		"agent-safe hides .env.local":        {"agent-safe", "/a/.env.local", none},
		"agent-safe hides secrets":           {"agent-safe", "/secrets/token.txt", none},
		"agent-safe hides deep secrets":      {"agent-safe", "/a/b/secrets/c/d", none},
		"agent-safe hides keys":              {"agent-safe", "/a/server.key", none},
		"agent-safe hides pem files":         {"agent-safe", "/a/server.pem", none},
		"agent-safe hides credentials":       {"agent-safe", "/credentials.json", none},
		"agent-safe hides in credentials":    {"agent-safe", "/credentials/a", none},
		"agent-safe hides in /output too":    {"agent-safe", "/output/.env", none},
		"development writes":                 {"development", "/a/b", write},
		"development shows .git":             {"development", "/.git/config", write},
		"development hides .env":             {"development", "/.env", none},
		"development hides secrets":          {"development", "/a/secrets/b", none},
		"development hides keys":             {"development", "/a.key", none},
		"development hides pem files":        {"development", "/a.pem", none},
		"development shows credentials":      {"development", "/credentials", write},
		"full-access writes":                 {"full-access", "/.env", write},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, mustPreset(t, tt.preset))
			if got := p.Decide(tt.path).Level; got != tt.want {
				t.Errorf("Decide(%q) = %v, want %v", tt.path, got, tt.want)
			}
		})
	}
}

// TestPresetOverDefault: what from_local sends is the preset asked for, though
// the default preset's rules stand before it.
func TestPresetOverDefault(t *testing.T) {
	safe := mustPreset(t, "agent-safe")
	both := mustCompile(t, append(mustPreset(t, policy.DefaultPreset), safe...))
	alone := mustCompile(t, safe)
	if both.Digest() != alone.Digest() {
		t.Error("Digest() differs, though the default preset's rule is outranked by an equal one")
	}
	for _, path := range []string{"/", "/a", "/.env", "/output/x", "/a/secrets/b"} {
		if got, want := both.Decide(path).Level, alone.Decide(path).Level; got != want {
			t.Errorf("Decide(%q) = %v, want %v", path, got, want)
		}
	}
}
