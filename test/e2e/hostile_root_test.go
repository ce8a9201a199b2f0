//go:build root

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestHostileNames(t *testing.T) {
	d := start(t)
	dir := t.TempDir()
	names := []string{
		"new\nline", "tab\there", "\x01\x02\x7f", "-rf", "--help", " lead", "trail ", "*", "?", "[a]", "{a,b}", `back\slash`, `"q"`, "'", "$(id)", "`id`", "...",
		"\xff\xfe\xc3(", "é", "e\u0301", strings.Repeat("x", 255), "..a", "a..", "%s%n", "\u202egnp",
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("in "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := d.local(dir, "read-only")
	// By hand: the names, sorted as bytes, and the contents.
	const dump = `python3 -c '
import os, hashlib
h = hashlib.sha256()
for n in sorted(os.listdir(b".")):
    h.update(n + b"\0" + open(n, "rb").read() + b"\0")
print(len(os.listdir(".")), h.hexdigest())'`
	b.expect(dump, shell(t, dir, dump))
	if got, err := b.read("\xff\xfe\xc3("); err != nil || got != "in \xff\xfe\xc3(" {
		t.Errorf("ReadFile(not UTF-8) = %q, %v", got, err)
	}
	b.destroy()
}

func TestLongPaths(t *testing.T) {
	d := start(t)
	dir := t.TempDir()
	// A path of nearly 4,096 bytes below the codebase's root, made step by step.
	fd, err := syscall.Open(dir, syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for length := 0; length+201 < 4000; length += 201 {
		name := strings.Repeat("d", 200)
		if err := syscall.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := syscall.Openat(fd, name, syscall.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Close(fd)
		fd, depth = next, depth+1
	}
	f, err := syscall.Openat(fd, "leaf", syscall.O_CREAT|syscall.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(f)
	syscall.Close(fd)
	b := d.local(dir, "development")
	b.expect("find . | wc -l", fmt.Sprintf("%d\n", depth+2))
	b.works("rm -rf d*")
	b.destroy()
}

func TestHostileLinks(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{".env": "LINKED-SECRET", "real.txt": "real", "sub/x": "x"})
	for name, target := range map[string]string{
		"abs": "/etc/shadow", "up": "../../../../../../etc/passwd", "parent": "..", "loop": "loop", "a": "b", "b": "a", "env": ".env", "dot": ".",
		"host": d.dir, "procroot": "/proc/1/root", "ok": "real.txt", "output": "/etc",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, ".env"), filepath.Join(dir, "innocent.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "real.txt"), filepath.Join(dir, "real2.txt")); err != nil {
		t.Fatal(err)
	}
	perms := rules(t, "agent-safe")
	cb, result := d.ingest(dir, perms)
	found := false
	for _, s := range result.GetSkipped() {
		if s.GetReason() == sandboxv1.SkippedEntries_REASON_HARD_LINK_TO_HIDDEN {
			found = len(s.GetPaths()) == 1 && strings.TrimPrefix(string(s.GetPaths()[0]), "/") == "innocent.txt"
		}
	}
	if !found {
		t.Errorf("skipped = %v, want innocent.txt as a hard link to a hidden file", result.GetSkipped())
	}
	sb, err := d.sandbox.CreateSandbox(t.Context(), &sandboxv1.CreateSandboxRequest{
		CodebaseId: cb.GetId(), Permissions: perms, CommitMode: sandboxv1.CommitMode_COMMIT_MODE_MANUAL, Start: true,
	})
	if err != nil {
		// /output is a link here, so it cannot be made a writable directory.
		if !strings.Contains(err.Error(), "/output") {
			t.Errorf("CreateSandbox() = %v, want an error that names /output", err)
		}
		if err := os.Remove(filepath.Join(dir, "output")); err != nil {
			t.Fatal(err)
		}
		b := d.local(dir, "agent-safe")
		checkLinks(t, b)
		return
	}
	checkLinks(t, &box{d: d, id: sb.GetId()})
}

func checkLinks(t *testing.T, b *box) {
	b.refuses("cat abs", "No such file")
	b.refuses("cat loop", "Too many levels")
	b.refuses("cat env", "No such file")
	b.refuses("cat innocent.txt", "No such file")
	b.refuses("ls host/", "No such file")
	b.expect("cat up | grep -c agent; cat ok real2.txt; ls parent | grep -x workspace", "1\nrealrealworkspace\n")
	b.refuses("grep -r LINKED-SECRET /workspace /tmp /home /etc 2>/dev/null", "")
	if _, err := b.read("up"); err == nil {
		t.Log("reading through a link that leaves the workspace gave the sandbox's own /etc/passwd")
	}
}

func TestManyFilesInOneDirectory(t *testing.T) {
	d := start(t)
	dir := t.TempDir()
	for n := range 100_000 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("f%06d", n)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	b := d.local(dir, "development")
	b.expect("ls | wc -l; ls | sort -u | wc -l", "100000\n100000\n")
	b.works("rm -rf ./* && ls | wc -l | grep -qx 0")
	b.destroy()
}

func TestLargeFile(t *testing.T) {
	d := start(t)
	dir := t.TempDir()
	shell(t, dir, "head -c 1073741824 /dev/zero | openssl enc -aes-128-ctr -pass pass:x -nosalt -pbkdf2 2>/dev/null > big")
	b := d.local(dir, "read-only")
	b.expect("sha256sum < big", shell(t, dir, "sha256sum < big"))
	if rss := resident(t, d.pid()); rss > 300<<20 {
		t.Errorf("the daemon holds %d MiB after a file of 1 GiB", rss>>20)
	}
}

func TestSpecialFilesAreCountedNotRead(t *testing.T) {
	d := start(t)
	dir := tree(t, map[string]string{"a": "a"})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o644, 1<<8|3); err != nil {
		t.Fatal(err)
	}
	_, result := d.ingest(dir, nil)
	for _, s := range result.GetSkipped() {
		if s.GetReason() == sandboxv1.SkippedEntries_REASON_SPECIAL && s.GetCount() == 2 {
			return
		}
	}
	t.Errorf("skipped = %v, want two special files", result.GetSkipped())
}
