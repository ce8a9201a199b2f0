//go:build root

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (b *box) diff(sandbox string) string {
	b.Helper()
	diff, err := b.Diff(ctxOf(b.T), &sandboxv1.DiffRequest{SandboxId: sandbox})
	if err != nil {
		b.Fatal(err)
	}
	return changesOf(diff.GetChanges())
}

func (b *box) stopSandbox(id string) {
	b.Helper()
	if _, err := b.StopSandbox(ctxOf(b.T), &sandboxv1.StopSandboxRequest{SandboxId: id}); err != nil {
		b.Fatal(err)
	}
}

func (b *box) startSandbox(id string) {
	b.Helper()
	if _, err := b.StartSandbox(ctxOf(b.T), &sandboxv1.StartSandboxRequest{SandboxId: id}); err != nil {
		b.Fatal(err)
	}
}

func (b *box) discard(id string, paths ...string) (string, error) {
	req := &sandboxv1.DiscardRequest{SandboxId: id}
	for _, p := range paths {
		req.Paths = append(req.Paths, []byte(p))
	}
	resp, err := b.Discard(ctxOf(b.T), req)
	return changesOf(resp.GetDiscarded()), err
}

func TestDiscard(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a", "dir/b": "b", "dir/c": "c", "made/x": "x", ".env": "secret"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "echo new > a; rm -r dir; rm -r made; mkdir made; echo y > made/y; echo own > .env; ln a hard; mkdir -p deep/er; echo z > deep/er/z; rm -f /tmp/none")
	all := b.diff(sb)
	_, err := b.discard(sb)
	if info := wantError(t, err, codes.FailedPrecondition, "SANDBOX_RUNNING"); !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("error is %v, %v", err, info)
	}
	b.stopSandbox(sb)
	for _, path := range []string{"dir/b", "/workspace/made/x"} {
		_, err := b.discard(sb, path)
		wantError(t, err, codes.FailedPrecondition, "DISCARD_IMPOSSIBLE")
	}
	if got := b.diff(sb); got != all {
		t.Errorf("after discards that failed: %s, want %s", got, all)
	}
	_, err = b.discard(sb, "../x")
	wantError(t, err, codes.InvalidArgument, "INVALID_PATH")
	if got, err := b.discard(sb, "a", "made"); err != nil || got != "modified /a, deleted /made/x, added /made/y" {
		t.Errorf("discarded %s, %v", got, err)
	}
	b.startSandbox(sb)
	if got := b.run(sb, "cat a made/x hard .env deep/er/z; test ! -e dir; echo again > a; cat a hard"); got != "axnew\nown\nz\nagain\nnew\n" {
		t.Errorf("the sandbox sees %q", got)
	}
	b.stopSandbox(sb)
	if _, err := b.discard(sb); err != nil {
		t.Fatal(err)
	}
	if got := b.diff(sb); got != "" {
		t.Errorf("left: %s", got)
	}
	b.startSandbox(sb)
	if got := b.run(sb, "find . -type f | sort | xargs cat; test ! -e .env; touch new"); got != "abcx" {
		t.Errorf("the sandbox sees %q", got)
	}
}

func TestFork(t *testing.T) {
	b := newBox(t)
	ctx := ctxOf(t)
	cb := b.codebase(map[string]string{"a": "a", "dir/b": "b", "locked/d": "d", ".env": "secret"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable(), Labels: map[string]string{"k": "v"}})
	b.run(sb, `echo new > a; rm -r dir; mkdir dir; echo y > dir/y; echo own > .env; mkdir -m 700 priv; ln a priv/hard; mkfifo priv/fifo
truncate -s 20M priv/sparse; chmod 4755 a; ln -s /etc/passwd priv/link`)
	req := &sandboxv1.ForkSandboxRequest{SandboxId: sb, Start: true, RequestId: "one", Labels: map[string]string{"fork": "yes"}}
	fork, err := b.ForkSandbox(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.ForkSandbox(ctx, req)
	if err != nil || again.GetId() != fork.GetId() || fork.GetId() == sb {
		t.Errorf("the same request gave %v, %v", again, err)
	}
	if fork.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING || fork.GetLabels()["fork"] != "yes" || len(fork.GetPermissions()) != 3 {
		t.Errorf("the fork is %v", fork)
	}
	id := fork.GetId()
	const look = "cat a dir/y .env locked/d; ls dir; stat -c '%a %h %s %b' a priv/hard priv/sparse; stat -c %F priv/fifo; readlink priv/link; ls -ld priv | cut -c1-10"
	if got, want := b.run(id, look), b.run(sb, look); got != want {
		t.Errorf("the fork sees %s\nwant %s", got, want)
	}
	if got, want := b.diff(id), b.diff(sb); got != want || !strings.Contains(got, "added /.env (shadowed)") {
		t.Errorf("the fork's diff is %s, want %s", got, want)
	}
	b.run(id, "echo fork >> priv/hard; echo x > locked/x 2>/dev/null || true")
	if got := b.run(sb, "cat a"); got != "new\n" {
		t.Errorf("the source sees %q", got)
	}
	list, err := b.ListSandboxes(ctx, &sandboxv1.ListSandboxesRequest{Labels: map[string]string{"fork": "yes"}})
	if err != nil || len(list.GetSandboxes()) != 1 || list.GetSandboxes()[0].GetId() != id {
		t.Errorf("the list is %v, %v", list, err)
	}
	res, err := b.Commit(ctx, &sandboxv1.CommitRequest{SandboxId: id, Paths: [][]byte{[]byte("a")}})
	if err != nil || changesOf(res.GetApplied()) != "modified /a" {
		t.Errorf("committed %v, %v", res, err)
	}
	_, err = b.ForkSandbox(ctx, &sandboxv1.ForkSandboxRequest{SandboxId: "sb_no"})
	wantError(t, err, codes.NotFound, "SANDBOX_NOT_FOUND")
}

// TestForkOfASandboxAtWork forks while files are written, moved and removed.
func TestForkOfASandboxAtWork(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "mkdir still; seq 1000 > still/f; head -c 30M /dev/urandom > still/big")
	busy, err := b.ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: `
i=0; while :; do i=$((i+1)); mkdir -p d/$i; echo $i > d/$i/f; mv d/$i e; rm -r e; echo $i >> log; ln -sf /etc link; done`})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := busy.Recv(); err != nil {
				return
			}
		}
	}()
	want := b.run(sb, "sha256sum still/*")
	for range 5 {
		begin := time.Now()
		fork, err := b.ForkSandbox(ctxOf(t), &sandboxv1.ForkSandboxRequest{SandboxId: sb, Start: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("forked 30 MiB in %v", time.Since(begin))
		if got := b.run(fork.GetId(), "sha256sum still/*; touch x"); got != want {
			t.Errorf("the fork has %s, want %s", got, want)
		}
	}
	state := filepath.Join(b.dir, "state", "sandboxes")
	entries, err := os.ReadDir(state)
	if err != nil || len(entries) != 6 {
		t.Errorf("state has %v, %v", entries, err)
	}
}

func TestSnapshotSandbox(t *testing.T) {
	b := newBox(t)
	ctx := ctxOf(t)
	cb := b.codebase(map[string]string{"a": "a", "dir/b": "b", "locked/d": "d", ".env": "secret"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "echo new > a; rm -r dir; mkdir fresh; echo x > fresh/x; echo own > .env")
	b.upload(cb, "a", "theirs")
	snap, err := b.SnapshotSandbox(ctx, &sandboxv1.SnapshotSandboxRequest{SandboxId: sb, RequestId: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if snap.GetId() == cb || snap.GetName() != b.Name() || snap.GetFileCount() != 4 {
		t.Errorf("the codebase is %v", snap)
	}
	for path, want := range map[string]string{"a": "new\n", "fresh/x": "x\n", "locked/d": "d", ".env": "secret"} {
		if got, err := b.download(snap.GetId(), path); got != want || err != nil {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
	_, err = b.download(snap.GetId(), "dir/b")
	wantError(t, err, codes.NotFound, "FILE_NOT_FOUND")
	b.run(sb, "echo later > a")
	again, err := b.SnapshotSandbox(ctx, &sandboxv1.SnapshotSandboxRequest{SandboxId: sb, RequestId: "one"})
	if err != nil || again.GetId() != snap.GetId() || again.GetHead() != snap.GetHead() {
		t.Errorf("the same request gave %v, %v", again, err)
	}
	other, err := b.SnapshotSandbox(ctx, &sandboxv1.SnapshotSandboxRequest{SandboxId: sb, Name: "named"})
	if err != nil || other.GetId() == snap.GetId() || other.GetName() != "named" {
		t.Errorf("another request gave %v, %v", other, err)
	}
	// The codebase is one like any other.
	next := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: snap.GetId(), CommitMode: manual, Permissions: writable()})
	if got := b.run(next, "cat a fresh/x"); got != "new\nx\n" {
		t.Errorf("a sandbox of the snapshot sees %q", got)
	}
	if got, err := b.download(cb, "a"); got != "theirs" || err != nil {
		t.Errorf("the old codebase has %q, %v", got, err)
	}
}

// TestBoundedDeltas forks and discards a delta on a disk of its own, which is
// full.
func TestBoundedDeltas(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a", "dir/b": "b"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{
		CodebaseId: cb, CommitMode: manual, Permissions: writable(),
		Resources: &sandboxv1.ResourceLimits{DiskBytes: 16 << 20},
	})
	b.run(sb, `echo new > a; rm -r dir; mkdir -p many; python3 - <<'END'
import os
os.mkdir("deep"); os.chdir("deep")
for _ in range(100):
    os.mkdir("d" * 20); os.chdir("d" * 20)
END
head -c 1000000 /dev/urandom > kept`)
	fork, err := b.ForkSandbox(ctxOf(t), &sandboxv1.ForkSandboxRequest{SandboxId: sb, Start: true})
	if err != nil {
		t.Fatal(err)
	}
	if fork.GetResources().GetDiskBytes() != 16<<20 {
		t.Errorf("the fork's limits are %v", fork.GetResources())
	}
	if got, want := b.run(fork.GetId(), "sha256sum a kept"), b.run(sb, "sha256sum a kept"); got != want {
		t.Errorf("the fork has %s, want %s", got, want)
	}
	b.run(fork.GetId(), "head -c 100M /dev/zero > full 2>/dev/null; python3 -c '\nfor i in range(100000):\n open(f\"many/{i}\", \"w\").close()' 2>/dev/null; test ! -e dir")
	b.stopSandbox(fork.GetId())
	if _, err := b.discard(fork.GetId()); err != nil {
		t.Fatal(err)
	}
	b.startSandbox(fork.GetId())
	if got := b.run(fork.GetId(), "cat a dir/b; head -c 10M /dev/zero > again; ls"); got != "aba\nagain\ndir\n" {
		t.Errorf("after the discard: %q", got)
	}
	b.stopSandbox(sb)
	if _, err := b.discard(sb, "a"); err != nil {
		t.Error(err)
	}
	b.startSandbox(sb)
	if got := b.run(sb, "cat a; ls"); got != "aa\ndeep\nkept\nmany\n" {
		t.Errorf("after the discard: %q", got)
	}
}
