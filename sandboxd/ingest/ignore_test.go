package ingest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ignoredByUs walks like the ingest does: not into what is ignored.
func ignoredByUs(t testing.TB, files map[string]string, paths []string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, path := range paths {
		isDir := strings.HasSuffix(path, "/")
		g := &ignores{spent: new(atomic.Int64)}
		ignored := false
		parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
		for i := range parts {
			dir := strings.Join(parts[:i], "/")
			if content, ok := files[dir]; ok {
				var err error
				if g, err = g.below(dir, []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			if g.ignored(strings.Join(parts[:i+1], "/"), parts[i], isDir || i < len(parts)-1) {
				ignored = true
				break
			}
		}
		out[path] = ignored
	}
	return out
}

// ignoredByGit asks git itself. Files are .gitignore files by directory.
func ignoredByGit(t testing.TB, root string, files map[string]string, paths []string) map[string]bool {
	t.Helper()
	for _, path := range paths {
		full := filepath.Join(root, path)
		if strings.HasSuffix(path, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, content := range files {
		if err := os.WriteFile(filepath.Join(root, dir, ".gitignore"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+root)
	// With a slash at the end git looks for a name that is empty.
	asked := make([]string, len(paths))
	for i, path := range paths {
		asked[i] = strings.TrimSuffix(path, "/")
	}
	cmd.Stdin = strings.NewReader(strings.Join(asked, "\x00"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("git check-ignore: %v\n%s", err, stderr.String())
	}
	said := map[string]bool{}
	for path := range strings.SplitSeq(stdout.String(), "\x00") {
		said[path] = true
	}
	out := map[string]bool{}
	for i, path := range paths {
		out[path] = said[asked[i]]
	}
	return out
}

func gitInit(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	cmd := exec.Command("git", "init", "-q", root)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return root
}

var ignorePaths = []string{
	"a", "b.txt", "a b", "[x]", "foo", "foobar", "fooXbar", "*", "!x", "#x", "x ", "d/", "d/a", "d/b.txt",
	"d/e/", "d/e/f/", "d/e/f/a", "d/e/foo", "foo.d/", "foo.d/bar", "foo.d/e/bar", "ab/", "ab/c/", "ab/c/a", "ab/c/foobar",
	"z/ab/c/b.txt", "é", "]", "-", "^", "A", "1", "x\\", "ab/c/d/e", "ab/x/c",
}

func compareWithGit(t testing.TB, root string, files map[string]string) {
	t.Helper()
	want := ignoredByGit(t, root, files, ignorePaths)
	got := ignoredByUs(t, files, ignorePaths)
	for _, path := range ignorePaths {
		if got[path] != want[path] {
			t.Errorf("%q: ignored is %v, git says %v, with %q", path, got[path], want[path], files)
		}
	}
}

func TestIgnoreRulesAreGits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("this test needs git")
	}
	for name, files := range map[string]map[string]string{
		"names at any depth":          {"": "a\nb.txt\n"},
		"anchored":                    {"": "/a\nd/a\n"},
		"anchored by an inner slash":  {"": "e/foo\nab/c"},
		"directories only":            {"": "foo/\nd/e/\nab/*/\n"},
		"negation":                    {"": "*\n!a\n!d/\n!d/b.txt\n"},
		"no way back into a dir":      {"": "d/\n!d/a\n!d/e/\n"},
		"contents but one":            {"": "/*\n!/d\n/d/*\n!/d/e\n"},
		"two stars first":             {"": "**/foo\n**/c/a\n**/\n!**/d/"},
		"two stars last":              {"": "d/**\n!d/e/\n!d/e/foo\n"},
		"two stars between":           {"": "d/**/a\nab/**/e\nab/**/c\n"},
		"two stars in a name":         {"": "foo**\nf**o\na/b**"},
		"two stars behind a prefix":   {"": "foo**/bar\nab**/c"},
		"three stars":                 {"": "***/a\nd/***/foo"},
		"two stars, escaped slash":    {"": `**\/a` + "\n" + `d/**\/foo`},
		"brackets":                    {"": "[ab]\n[!f]*\n[^a-z]\n"},
		"odd brackets":                {"": "[]]\n[]-]\n[!]a]\n[a-\n[]\n[\n[[:alpha:]]\n"},
		"classes":                     {"": "[[:upper:]]\n[[:digit:]x]*\n[[:nope:]]\n[[:a]\n"},
		"escapes":                     {"": `\*` + "\n" + `\!x` + "\n" + `\#x` + "\n" + `x\ ` + "\n" + `x\\` + "\n" + `a\` + "\n"},
		"spaces at the end":           {"": "a  \nfoo \\ \nx\\ \n"},
		"comments and empty lines":    {"": "#a\n\n  \n!\n/\n//\n!/\nb.txt\n"},
		"CRLF":                        {"": "a\r\nfoo/\r\nb.txt\r"},
		"byte order mark":             {"": "\xef\xbb\xbfa\n"},
		"nested wins":                 {"": "*.txt\nfoo\n", "d": "!b.txt\n", "d/e": "!foo\n"},
		"nested is relative":          {"d": "/a\ne/foo\n", "ab/c": "a\n/d/\n"},
		"nested in what is ignored":   {"": "d/\n", "d": "!a\n"},
		"nested re-includes a dir":    {"": "**/e/\n", "d": "!e\n"},
		"not UTF-8 and many byte":     {"": "\xc3\xa9\n??\n"},
		"anchored re-include":         {"": "ab/**/*\n!ab/c\n"},
		"dir-only re-include":         {"": "*\n!*/\n"},
		"literal with trailing slash": {"": "d/e/\n!d/e\n"},
	} {
		t.Run(name, func(t *testing.T) { compareWithGit(t, gitInit(t), files) })
	}
}

func TestRandomIgnoreRulesAreGits(t *testing.T) {
	pieces := rapid.SampledFrom([]string{
		"a", "b", "foo", "bar", "d", "e", "c", ".txt", "*", "**", "?", "/", "/", "[a-f]", "[!a]", "[", "]", `\`, " ", "!", "#", "-", "***",
		"[[:alnum:]]", "/**/", "**/", "/*",
	})
	line := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(pieces, 0, 6).Draw(t, "pieces"), "")
	})
	root := gitInit(t)
	deadline := time.Now().Add(3 * time.Second)
	rapid.Check(t, func(rt *rapid.T) {
		if time.Now().After(deadline) {
			return
		}
		files := map[string]string{}
		for _, dir := range []string{"", "d", "ab/c"} {
			content := strings.Join(rapid.SliceOfN(line, 0, 3).Draw(rt, "file "+dir), "\n")
			files[dir] = content + rapid.SampledFrom([]string{"", "\n", "\r\n"}).Draw(rt, "end")
		}
		want := ignoredByGit(t, root, files, ignorePaths)
		got := ignoredByUs(t, files, ignorePaths)
		for _, path := range ignorePaths {
			if got[path] != want[path] {
				rt.Fatalf("%q: ignored is %v, git says %v, with %q", path, got[path], want[path], files)
			}
		}
	})
}

func TestDefaultsAndRequestFrameTheFiles(t *testing.T) {
	g, err := newIgnores([]string{"secret.txt", "!keep.log"})
	if err != nil {
		t.Fatal(err)
	}
	g, err = g.below("", []byte("!secret.txt\n*.log\n!*.pyc\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"a/__pycache__": true, ".DS_Store": true, "a/x.pyc": false, "secret.txt": true, "x.log": true, "keep.log": false, "a": false,
	} {
		if got := g.ignored(path, filepath.Base(path), false); got != want {
			t.Errorf("ignored(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestIgnoreRefusesHugePatterns(t *testing.T) {
	if _, err := newIgnores([]string{strings.Repeat("x", maxIgnorePattern+1)}); err == nil {
		t.Error("a huge pattern was taken")
	}
	if _, err := newIgnores(make([]string, maxIgnoreLines+1)); err == nil {
		t.Error("a huge list was taken")
	}
}

func TestHostilePatternsTakeLinearTime(t *testing.T) {
	g, err := newIgnores([]string{strings.Repeat("*a", 100) + "b", "/" + strings.Repeat("**/a*", 100) + "b"})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("a", 255)
	path := strings.Repeat(name+"/", 15) + name
	start := time.Now()
	g.ignored(path, name, true)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("matching took %v", took)
	}
}

func BenchmarkIgnore(b *testing.B) {
	g, err := newIgnores([]string{"node_modules", "*.log", "/build/", "**/dist/**", "*.py[cod]"})
	if err != nil {
		b.Fatal(err)
	}
	paths := make([]string, 1000)
	for i := range paths {
		paths[i] = fmt.Sprintf("src/pkg%d/file%d.go", i/50, i)
	}
	for b.Loop() {
		for _, path := range paths {
			g.ignored(path, filepath.Base(path), false)
		}
	}
}
