//go:build root

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (b *box) stat(sandbox, path string) (*sandboxv1.FileInfo, error) {
	return b.StatFile(ctxOf(b.T), &sandboxv1.StatFileRequest{SandboxId: sandbox, Path: []byte(path)})
}

func (b *box) remove(sandbox, path string) error {
	_, err := b.RemoveFile(ctxOf(b.T), &sandboxv1.RemoveFileRequest{SandboxId: sandbox, Path: []byte(path), Recursive: true})
	return err
}

func (b *box) rename(sandbox, from, to string) error {
	_, err := b.RenameFile(ctxOf(b.T), &sandboxv1.RenameFileRequest{SandboxId: sandbox, From: []byte(from), To: []byte(to)})
	return err
}

func (b *box) mkdir(sandbox, path string) error {
	_, err := b.MakeDirectory(ctxOf(b.T), &sandboxv1.MakeDirectoryRequest{SandboxId: sandbox, Path: []byte(path)})
	return err
}

func TestFileCalls(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello", "src/b.go": "package b", "src/deep/c": "c", "locked/d": "d", ".env": "secret"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	for _, path := range []string{"src/b.go", "/src/b.go", "/workspace/src/b.go"} {
		if info, err := b.stat(sb, path); err != nil || info.GetPath() != "src/b.go" || info.GetSize() != 9 || info.GetMode() != 0o644 {
			t.Errorf("stat %s: %v, %v", path, info, err)
		}
	}
	b.run(sb, "ln -s a.txt link; mkdir -p odd; touch $'odd/\\xff\\n'")
	if info, err := b.stat(sb, "link"); err != nil || string(info.GetSymlinkTarget()) != "a.txt" {
		t.Errorf("stat of a link: %v, %v", info, err)
	}
	for n, err := range []error{
		b.mkdir(sb, "/workspace/new/dir"),
		b.mkdir(sb, "new/dir"),
		b.rename(sb, "a.txt", "new/dir/a"),
		b.rename(sb, "src/b.go", "new/dir/a"),
		b.rename(sb, "odd/\xff\n", "odd/\xfe"),
		b.remove(sb, "link"),
		b.remove(sb, "src"),
		b.remove(sb, "odd"),
	} {
		if err != nil {
			t.Errorf("call %d: %v", n, err)
		}
	}
	if got := b.run(sb, "find . -mindepth 1 | sort | tr '\\n' ' '; cat new/dir/a"); got != "./locked ./locked/d ./new ./new/dir ./new/dir/a package b" {
		t.Errorf("the sandbox sees %q", got)
	}
}

func TestFileCallsNameTheRule(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello", "dir/x": "x", "dir/locked/y": "y", "keep/z": "z", ".env": "secret", "names/only": "n"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: append(reading(),
		rule("/dir/**", write), rule("/dir/locked/**", read), rule("/names/*", look))})
	for name, tt := range map[string]struct {
		err    error
		code   codes.Code
		reason string
		rule   string
		path   string
	}{
		"stat of what is hidden":       {second(b.stat(sb, ".env")), codes.NotFound, "FILE_NOT_FOUND", "", "/.env"},
		"remove what is hidden":        {b.remove(sb, ".env"), codes.NotFound, "FILE_NOT_FOUND", "", "/.env"},
		"rename what is hidden":        {b.rename(sb, ".env", "output/x"), codes.NotFound, "FILE_NOT_FOUND", "", "/.env"},
		"remove below read":            {b.remove(sb, "a.txt"), codes.PermissionDenied, "PERMISSION_DENIED", "**/*", "/a.txt"},
		"remove below view":            {b.remove(sb, "names/only"), codes.PermissionDenied, "PERMISSION_DENIED", "/names/*", "/names/only"},
		"rename from read":             {b.rename(sb, "a.txt", "output/a"), codes.PermissionDenied, "PERMISSION_DENIED", "**/*", "/a.txt"},
		"rename to read":               {b.rename(sb, "dir/x", "keep/x"), codes.PermissionDenied, "PERMISSION_DENIED", "**/*", "/keep/x"},
		"rename what is kept":          {b.rename(sb, "dir/locked", "dir/free"), codes.PermissionDenied, "PERMISSION_DENIED", "/dir/locked/**", "/dir/locked"},
		"rename to nowhere":            {b.rename(sb, "dir/x", "dir/no/x"), codes.NotFound, "FILE_NOT_FOUND", "", "/dir/no/x"},
		"make where not":               {b.mkdir(sb, "keep/new"), codes.PermissionDenied, "PERMISSION_DENIED", "**/*", "/keep/new"},
		"make over a file":             {b.mkdir(sb, "dir/x"), codes.FailedPrecondition, "NOT_A_DIRECTORY", "", "/dir/x"},
		"remove a tree with a kept":    {b.remove(sb, "dir"), codes.PermissionDenied, "PERMISSION_DENIED", "/dir/**", "/dir"},
		"remove what is kept":          {b.remove(sb, "dir/locked"), codes.PermissionDenied, "PERMISSION_DENIED", "/dir/locked/**", "/dir/locked"},
		"remove the output":            {b.remove(sb, "output"), codes.PermissionDenied, "PERMISSION_DENIED", "/output/**", "/output"},
		"remove where nothing may":     {b.remove(sb, "keep"), codes.PermissionDenied, "PERMISSION_DENIED", "**/*", "/keep"},
		"stat of what only shows":      {second(b.stat(sb, "names/only")), codes.OK, "", "", ""},
		"rename from mount to another": {b.rename(sb, "dir/x", "output/x"), codes.FailedPrecondition, "RENAME_IMPOSSIBLE", "", "/dir/x"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.code == codes.OK {
				if tt.err != nil {
					t.Error(tt.err)
				}
				return
			}
			info := wantError(t, tt.err, tt.code, tt.reason)
			if m := info.GetMetadata(); m["rule"] != tt.rule || m["path"] != tt.path || m["operation"] == "" {
				t.Errorf("metadata is %v, want rule %q and path %q", m, tt.rule, tt.path)
			}
		})
	}
	if got := b.run(sb, "cat dir/x dir/locked/y keep/z"); got != "xyz" {
		t.Errorf("left is %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

func TestFileErrorsCarryTheErrno(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"f": "x", "d/x": "x", "d/y/z": "x"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "mkfifo fifo; ln -s nowhere dangling; mkdir made other; touch made/x other/x")
	read := func(path string) error { return second(b.readFile(sb, path)) }
	write := func(path string) error { return second(b.writeFile(sb, path, "x", 0)) }
	for name, tt := range map[string]struct {
		err           error
		reason, errno string
	}{
		"read a directory":           {read("d"), "NOT_A_FILE", "EISDIR"},
		"read a directory, slash":    {read("d/"), "NOT_A_FILE", "EISDIR"},
		"write to a directory":       {write("d"), "NOT_A_FILE", "EISDIR"},
		"read a fifo":                {read("fifo"), "NOT_A_FILE", "ENXIO"},
		"read below a file":          {read("f/x"), "NOT_A_DIRECTORY", "ENOTDIR"},
		"write below a file":         {write("f/x"), "NOT_A_DIRECTORY", "ENOTDIR"},
		"write below a link to none": {write("dangling/x"), "NOT_A_DIRECTORY", "ENOTDIR"},
		"make over a file":           {b.mkdir(sb, "f"), "NOT_A_DIRECTORY", "EEXIST"},
		"make over a link to none":   {b.mkdir(sb, "dangling"), "NOT_A_DIRECTORY", "EEXIST"},
		"make below a file":          {b.mkdir(sb, "f/d"), "NOT_A_DIRECTORY", "ENOTDIR"},
		"rename over a directory":    {b.rename(sb, "f", "d"), "NOT_A_FILE", "EISDIR"},
		"rename a directory over":    {b.rename(sb, "made", "f"), "NOT_A_DIRECTORY", "ENOTDIR"},
		"rename over a full one":     {b.rename(sb, "made", "other"), "DIRECTORY_NOT_EMPTY", "ENOTEMPTY"},
		"missing":                    {read("gone"), "FILE_NOT_FOUND", "ENOENT"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wantError(t, tt.err, status.Code(tt.err), tt.reason).GetMetadata()["errno"]; got != tt.errno {
				t.Errorf("errno is %q, want %q", got, tt.errno)
			}
		})
	}
}

// TestRemovalOfHostileTrees removes what a payload made to resist.
func TestRemovalOfHostileTrees(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"kept": "kept"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, `python3 - <<'END'
import os
os.mkdir("deep"); os.chdir("deep")
for _ in range(1000):
    os.mkdir(b"\xff\n" * 60); os.chdir(b"\xff\n" * 60)
END
mkdir wide; cd wide; seq 20000 | xargs touch; mkdir -m 0 closed; mkfifo fifo; ln -s ../kept link; ln -s .. up; ln /etc/../workspace/kept hard`)
	for _, path := range []string{"deep", "wide"} {
		begin := time.Now()
		if err := b.remove(sb, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		t.Logf("%s: %v", path, time.Since(begin))
	}
	// A payload that races: what it swaps in is never followed.
	racer, err := b.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: `
while :; do mkdir -p d/e/f; mv d/e aside; ln -s /workspace/precious d/e; rm d/e; mv aside d/e; done`})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := racer.Recv(); err != nil {
				return
			}
		}
	}()
	b.run(sb, "mkdir precious; echo x > precious/x")
	for range 300 {
		if err := b.remove(sb, "d"); err != nil && !strings.Contains(err.Error(), "does not exist") && !strings.Contains(err.Error(), "while it is removed") {
			t.Errorf("remove: %v", err)
		}
	}
	if got := b.run(sb, "cat precious/x kept"); got != "x\nkept" {
		t.Errorf("left is %q", got)
	}
}

// watch collects the events of a watch. It waits for one that was cancelled just
// before to make room.
func (b *box) watch(ctx context.Context, sandbox, path string) (next func() string) {
	b.Helper()
	var stream grpc.ServerStreamingClient[sandboxv1.FileEvent]
	var first *sandboxv1.FileEvent
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var err error
		if stream, err = b.WatchFiles(ctx, &sandboxv1.WatchFilesRequest{SandboxId: sandbox, Path: []byte(path), Recursive: true}); err != nil {
			b.Fatal(err)
		}
		if first, err = stream.Recv(); err == nil {
			break
		}
		if status.Code(err) != codes.ResourceExhausted || time.Now().After(deadline) {
			b.Fatalf("first is %v, %v", first, err)
		}
	}
	if first.GetKind() != 0 {
		b.Fatalf("first is %v", first)
	}
	return func() string {
		e, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return "end"
		case err != nil:
			return err.Error()
		}
		return strings.ToLower(strings.TrimPrefix(e.GetKind().String(), "KIND_")) + " " + string(e.GetPath())
	}
}

func TestWatchFiles(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello", "src/b.go": "package b", ".env": "secret", "src/locked/x": "x"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: append(writable(), rule("/src/locked/**", read))})
	next := b.watch(ctxOf(t), sb, "/")
	b.run(sb, "echo 1 >> a.txt; rm src/b.go; mkdir -p n/m; sleep 0.2; echo x > n/m/o; mv n/m/o src/o; echo own > .env; chmod 600 a.txt")
	var got []string
	for want := "attributes a.txt"; len(got) == 0 || got[len(got)-1] != want; {
		if e := next(); len(got) == 0 || got[len(got)-1] != e {
			got = append(got, e)
		}
	}
	want := []string{
		"modified a.txt", "removed src/b.go", "created n", "created n/m", "created n/m/o", "modified n/m/o",
		"removed n/m/o", "created src/o", "created .env", "modified .env", "attributes a.txt",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	// A file call of a client is a change like any other.
	if err := b.mkdir(sb, "by/client"); err != nil {
		t.Fatal(err)
	}
	if e := next(); e != "created by" {
		t.Errorf("told %q", e)
	}
}

func TestWatchEnds(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "mkdir -p d/e")
	next := b.watch(ctxOf(t), sb, "d")
	b.run(sb, "rm -r d")
	var got []string
	for len(got) < 10 && (len(got) == 0 || got[len(got)-1] != "end") {
		got = append(got, next())
	}
	if want := []string{"removed d/e", "removed d", "end"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	ctx, cancel := context.WithCancel(ctxOf(t))
	next = b.watch(ctx, sb, "/")
	cancel()
	if e := next(); !strings.Contains(e, "Canceled") {
		t.Errorf("after a cancelled call: %q", e)
	}
	for range 100 { // none of them may stay behind
		ctx, cancel := context.WithCancel(ctxOf(t))
		b.watch(ctx, sb, "/")
		cancel()
	}
	next = b.watch(ctxOf(t), sb, "/")
	if _, err := b.StopSandbox(ctxOf(t), &sandboxv1.StopSandboxRequest{SandboxId: sb}); err != nil {
		t.Fatal(err)
	}
	if e := next(); !strings.Contains(e, "FailedPrecondition") {
		t.Errorf("after the sandbox's end: %q", e)
	}
	for name, path := range map[string]string{"a file": "a.txt", "what is hidden": ".env"} {
		if _, err := b.StartSandbox(ctxOf(t), &sandboxv1.StartSandboxRequest{SandboxId: sb}); err != nil && !strings.Contains(err.Error(), "running") {
			t.Fatal(err)
		}
		stream, err := b.WatchFiles(ctxOf(t), &sandboxv1.WatchFilesRequest{SandboxId: sb, Path: []byte(path)})
		if err == nil {
			_, err = stream.Recv()
		}
		if err == nil {
			t.Errorf("%s can be watched", name)
		}
	}
}

// TestWatchOfAFlood makes more changes than a client that does not read can
// hold, and looks for what grew.
func TestWatchOfAFlood(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a.txt": "hello"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "mkdir d")
	next := b.watch(ctxOf(t), sb, "/")
	before := b.rss()
	b.run(sb, `cd d; python3 -c '
import os
for i in range(40000):
    n = "f%d" % (i % 50) + "x" * 100
    open(n, "w").close(); os.unlink(n)'`)
	if grown := b.rss() - before; grown > 64<<20 {
		t.Errorf("the daemon grew by %d MiB", grown>>20)
	} else {
		t.Logf("the daemon grew by %d KiB", grown>>10)
	}
	b.run(sb, "mkdir -p last/one")
	seen := 0
	overflow := false
	for e := ""; e != "created last/one"; seen++ {
		if e = next(); strings.HasPrefix(e, "overflow") {
			overflow = true
			b.run(sb, "rmdir last/one; mkdir last/one")
		}
	}
	if !overflow {
		t.Errorf("%d events and no overflow", seen)
	}
	t.Logf("%d events were read of 80000", seen)
}

// rss is the resident memory of the daemon, in bytes.
func (b *box) rss() int64 {
	b.Helper()
	var pages, resident int64
	if _, err := fmt.Sscan(readProc(b, "statm"), &pages, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * 4096
}
