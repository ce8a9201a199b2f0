//go:build root

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// repository clones, with git, a real repository of thousands of files: the
// source of the Go library that built this test, with secrets planted in it.
func repository(t testing.TB) string {
	t.Helper()
	origin, clone := t.TempDir(), filepath.Join(t.TempDir(), "repo")
	src := filepath.Join(runtime.GOROOT(), "src")
	for _, dir := range []string{"net", "os", "encoding", "crypto", "internal", "text", "go", "testing", "unicode", "sort", "strings", "bytes"} {
		shell(t, origin, "cp -r "+filepath.Join(src, dir)+" .")
	}
	shell(t, origin, `
mkdir -p secrets a/b/secrets/c deploy
echo TOP=secret > .env; echo x > .env.local; echo t > secrets/token.txt; echo d > a/b/secrets/c/d; echo p > secrets/public.key
echo k > deploy/id.key; echo c > deploy/server.pem; echo c > credentials.json; echo ok > a/b/visible.txt
git init -q . && git add -A -f . && git -c user.name=t -c user.email=t@t commit -qm first`)
	shell(t, origin, "git clone -q . "+clone)
	return clone
}

const hiddenNames = `\.env|secrets|id\.key|server\.pem|credentials|\.git(/|$)`

func TestAgentSafeOnARealRepository(t *testing.T) {
	d := start(t)
	repo := repository(t)
	b := d.local(repo, "agent-safe")
	for _, tool := range []string{
		"ls -laR .", "find . -printf '%p %s %n\\n'", "python3 -c 'import os\nfor r,d,f in os.walk(\".\"): print(r,d,f)'", "tar cf - . | tar tf -", "du -a .",
	} {
		b.refuses(tool+" | grep -E '"+hiddenNames+"' && exit 0; echo none; exit 1", "none")
	}
	// Text that mentions secrets is in the sources; their content is not.
	b.refuses("grep -rn 'TOP=secret' .", "")
	for _, path := range []string{".env", ".env.local", "secrets/token.txt", "a/b/secrets/c/d", "deploy/id.key", "deploy/server.pem", "credentials.json", ".git/config", "secrets", ".git"} {
		for _, tool := range []string{"cat", "stat", "ls -d", "readlink -e -v", "test -e", "cd", "touch -c -r"} {
			r := b.run(tool + " " + path + " ; echo $?")
			if tool != "test -e" && !strings.Contains(r.GetStderr(), "No such file or directory") {
				t.Errorf("%s %s said %q, want ENOENT", tool, path, r.GetStderr())
			}
		}
		b.expect(`python3 -c 'import os,errno
try: os.open("`+path+`", os.O_RDONLY)
except OSError as e: print(errno.errorcode[e.errno])'`, "ENOENT\n")
	}
	b.expect("cat a/b/visible.txt", "ok\n")
	b.expect("echo report > /output/r.md && cat /workspace/output/r.md", "report\n")
	b.works("echo x > /workspace/output/x && echo x > /workspace/tmp/x && echo x > /tmp/x")
	for _, path := range []string{"/workspace/new", "/workspace/net/new", "/workspace/net/dial.go", "/usr/x", "/etc/passwd", "/x"} {
		b.refuses("echo x > "+path, "Read-only file system")
	}
	if got, err := b.read("/output/r.md"); err != nil || got != "report\n" {
		t.Errorf("ReadFile(/output/r.md) = %q, %v", got, err)
	}
	native := shell(t, repo, "find net os -type f | sort | xargs sha256sum | sha256sum")
	b.expect("find net os -type f | sort | xargs sha256sum | sha256sum", native)
}

func TestViewOnlyShowsNamesAndNoContent(t *testing.T) {
	d := start(t)
	repo := repository(t)
	b := d.local(repo, "view-only")
	want := shell(t, repo, "find net | sort | wc -l")
	b.expect("find net | sort | wc -l", want)
	b.expect("stat -c '%s' net/dial.go", shell(t, repo, "stat -c '%s' net/dial.go"))
	b.refuses("cat net/dial.go", "Permission denied")
	b.refuses("chmod 644 net/dial.go", "Read-only file system")
	b.refuses("cp net/dial.go /tmp/", "Permission denied")
	b.refuses("echo x > new", "Read-only file system")
}

func TestDevelopmentDoesRealWork(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{
		".env": "SECRET=1\n", "main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"built\") }\n", "go.mod": "module m\n\ngo 1.24\n",
		"test_a.py": "def test_a():\n    assert True\n", "lib/x/y.txt": "y", "lib/z.txt": "z",
	})
	b := d.local(dir, "development")
	b.works("git init -q . && git add -A && git -c user.name=a -c user.email=a@a commit -qm x && git status --porcelain | wc -l | grep -qx 0 && git fsck")
	b.expect("git ls-files | grep -c env; true", "0\n")
	b.expect(`python3 -c '
import sqlite3
c = sqlite3.connect("db"); c.execute("pragma journal_mode=wal"); c.execute("pragma synchronous=full")
c.execute("create table t(x)")
for i in range(100):
    c.execute("insert into t values (?)", (i,)); c.commit()
print(c.execute("select count(*), sum(x) from t").fetchone())'`, "(100, 4950)\n")
	b.expect("mv lib lib2 && cat lib2/x/y.txt && ls lib 2>&1; ls lib2", "yls: cannot access 'lib': No such file or directory\nx\nz.txt\n")
	b.expect("ln lib2/z.txt hard && stat -c %h hard && echo more >> hard && cat lib2/z.txt", "2\nzmore\n")
	b.expect("rm -rf lib2 hard && ls", "db\ngo.mod\nmain.go\ntest_a.py\n")
	b.works("python3 -m venv --without-pip venv && venv/bin/python -c 'import sys; assert sys.prefix.endswith(\"venv\")'")
	b.works("chmod +x test_a.py && ln -s main.go link && mkfifo fifo && truncate -s 1G sparse && rm sparse fifo")
	if _, err := exec.Command("/usr/bin/python3", "-c", "import pytest").CombinedOutput(); err != nil {
		t.Error("python3-pytest is not installed: run scripts/setup")
	}
	b.works("python3 -m pytest -q test_a.py")
	if !strings.HasPrefix(runtime.GOROOT(), "/usr/") {
		t.Errorf("the Go toolchain is at %s, where no sandbox sees it", runtime.GOROOT())
	}
	b.expect("export PATH=$PATH:"+runtime.GOROOT()+"/bin; go build -o m . && ./m", "built\n")
	if _, err := os.Stat(filepath.Join(dir, "m")); err == nil {
		t.Error("what the sandbox built is in the user's directory")
	}
	// Two sandboxes of one codebase do not see each other's work.
	other := d.local(dir, "development")
	other.expect("ls", "go.mod\nlib\nmain.go\ntest_a.py\n")
}

func TestFullAccessShowsEverything(t *testing.T) {
	d := start(t)
	repo := repository(t)
	b := d.local(repo, "full-access")
	b.expect("cat .env secrets/token.txt a/b/secrets/c/d", "TOP=secret\nt\nd\n")
	b.expect("git status --porcelain", "")
	b.expect("git log --oneline | wc -l", "1\n")
	b.expect("find . | sort | sha256sum", shell(t, repo, "find . | sort | sha256sum"))
}

func TestRulesOpenAndCloseSinglePlaces(t *testing.T) {
	d := start(t)
	repo := repository(t)
	perms := rules(t, "agent-safe", "/secrets/public.key=read@200")
	cb, _ := d.ingest(repo, nil)
	b := d.open(cb, perms, nil)
	b.expect("cat secrets/public.key; ls -a secrets; ls secrets | wc -l", "p\n.\n..\npublic.key\n1\n")
	b.refuses("cat secrets/token.txt", "No such file or directory")
	only := d.open(cb, rules(t, "view-only", "**/*=none@1", "/net/http/**=read@10"), nil)
	only.expect("ls -a; ls net", ".\n..\nnet\nhttp\n")
	only.works("head -1 net/http/server.go")
}

func TestHiddenContentIsNotIngested(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{"a": "a", ".env": "UNIQUE-SECRET-4711\n", "secrets/x": "UNIQUE-SECRET-4711\n"})
	_, result := d.ingest(dir, rules(t, "agent-safe"))
	if result.GetFiles() != 1 {
		t.Errorf("%d files ingested, want 1", result.GetFiles())
	}
	if out, _ := exec.Command("grep", "-rl", "UNIQUE-SECRET-4711", d.dir).Output(); len(out) > 0 {
		t.Errorf("the secret was copied to %s", out)
	}
	hidden := 0
	for _, s := range result.GetSkipped() {
		hidden += int(s.GetCount())
	}
	if hidden != 2 {
		t.Errorf("skipped = %v, want .env and secrets", result.GetSkipped())
	}
}
