//go:build root

package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func writable() []*sandboxv1.PermissionRule {
	return []*sandboxv1.PermissionRule{rule("**/*", write), rule("/locked/**", read), rule("**/.env*", none)}
}

func changesOf(changes []*sandboxv1.Change) string {
	var list []string
	for _, c := range changes {
		s := strings.ToLower(strings.TrimPrefix(c.GetOperation().String(), "OPERATION_")) + " " + string(c.GetPath())
		if c.GetShadowed() {
			s += " (shadowed)"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func TestManualCommit(t *testing.T) {
	b := newBox(t)
	ctx := ctxOf(t)
	cb := b.codebase(map[string]string{"a": "a", "dir/b": "b", "dir/c": "c", "locked/d": "d", ".env": "secret"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "echo new > a; rm -r dir; mkdir fresh; echo x > fresh/x; echo mine > .env; touch -d 1999-01-01 locked/d || true")
	diff, err := b.Diff(ctx, &sandboxv1.DiffRequest{SandboxId: sb})
	if err != nil {
		t.Fatal(err)
	}
	want := "added /.env (shadowed), modified /a, deleted /dir, deleted /dir/b, deleted /dir/c, added /fresh, added /fresh/x"
	if got := changesOf(diff.GetChanges()); got != want {
		t.Errorf("diff is %s, want %s", got, want)
	}
	if got, err := b.download(cb, "a"); got != "a" || err != nil {
		t.Errorf("before the commit a is %q, %v", got, err)
	}
	if _, err := b.StopSandbox(ctx, &sandboxv1.StopSandboxRequest{SandboxId: sb}); err != nil { // a commit needs no instance
		t.Fatal(err)
	}
	res, err := b.Commit(ctx, &sandboxv1.CommitRequest{SandboxId: sb})
	if err != nil {
		t.Fatal(err)
	}
	if got := changesOf(res.GetRefused()); got != "added /.env (shadowed)" || len(res.GetApplied()) != 6 || res.GetRefused()[0].GetRule().GetPattern() != "**/.env*" {
		t.Errorf("refused %s, applied %s", got, changesOf(res.GetApplied()))
	}
	for path, want := range map[string]string{"a": "new\n", "fresh/x": "x\n", "locked/d": "d", ".env": "secret"} {
		if got, err := b.download(cb, path); got != want || err != nil {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
	_, err = b.download(cb, "dir/b")
	wantError(t, err, codes.NotFound, "FILE_NOT_FOUND")
}

func TestCommitConflict(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual, Permissions: writable()})
	b.run(sb, "echo mine > a; echo mine > b")
	b.upload(cb, "a", "theirs")
	_, err := b.Commit(ctxOf(t), &sandboxv1.CommitRequest{SandboxId: sb})
	if info := wantError(t, err, codes.Aborted, "COMMIT_CONFLICT"); info.GetMetadata()["paths"] != `["/a"]` {
		t.Errorf("metadata is %v", info.GetMetadata())
	}
	_, err = b.download(cb, "b")
	wantError(t, err, codes.NotFound, "FILE_NOT_FOUND")
}

func TestOldClientsGetTheirChangesAtOnce(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	one := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: writable()})
	two := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: writable()})
	check := func(want string) {
		t.Helper()
		if got, err := b.download(cb, "a"); got != want || err != nil {
			t.Errorf("a is %q, %v, want %q", got, err, want)
		}
	}
	b.run(one, "echo one > a")
	check("one\n")
	b.run(two, "echo two > a")
	check("two\n")
	b.run(one, "true")
	check("two\n")
	if _, err := b.codebases.DeleteCodebase(ctxOf(t), &sandboxv1.DeleteCodebaseRequest{CodebaseId: cb}); err != nil {
		t.Fatal(err)
	}
	b.run(one, "echo alive > a; cat a")
}
