//go:build root

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// as returns a box whose client is another user, with these groups.
func (b *box) as(t *testing.T, uid, gid int, groups ...int) *box {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///daemon", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dialAs(b.socket(), uid, gid, groups) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &box{
		T: t, dir: b.dir, conn: conn, SandboxServiceClient: sandboxv1.NewSandboxServiceClient(conn),
		codebases: sandboxv1.NewCodebaseServiceClient(conn),
	}
}

// dialAs connects on a thread that is somebody else, and ends with it.
func dialAs(socket string, uid, gid int, groups []int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread() // for good
		if err := becomeThread(uid, gid, groups); err != nil {
			results <- result{nil, err}
			return
		}
		conn, err := net.Dial("unix", socket)
		results <- result{conn, err}
	}()
	r := <-results
	return r.conn, r.err
}

// becomeThread changes who the calling thread is, and only that.
func becomeThread(uid, gid int, groups []int) error {
	list := make([]uint32, len(groups)+1)
	for i, g := range groups {
		list[i] = uint32(g)
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0]))},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	runtime.KeepAlive(list)
	return nil
}

func TestOwnersAreApart(t *testing.T) {
	b := newBox(t, "--listen-mode", "0666", "--admin-group", "4242")
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	alice, bob, admin := b.as(t, 3001, 3001), b.as(t, 3002, 3002, 3001), b.as(t, 3003, 3003, 7, 4242)
	cb := alice.codebase(map[string]string{"a": "alice's"})
	sb := alice.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading()})
	uids := map[string]bool{}
	for _, who := range []*box{alice, b, admin} {
		uids[who.run(sb, "cat a >&2; id -u")] = true
	}
	other := bob.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: bob.codebase(nil)})
	uids[bob.run(other, "id -u")] = true
	if len(uids) != 2 {
		t.Errorf("uids in the sandboxes are %v", uids)
	}
	process := alice.spawn(&sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 100"}})
	ctx := ctxOf(t)
	for name, call := range map[string]func(who *box) error{
		"get": func(who *box) error {
			_, err := who.GetSandbox(ctx, &sandboxv1.GetSandboxRequest{SandboxId: sb})
			return err
		},
		"exec": func(who *box) error {
			_, err := who.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"})
			return err
		},
		"diff":   func(who *box) error { _, err := who.Diff(ctx, &sandboxv1.DiffRequest{SandboxId: sb}); return err },
		"read":   func(who *box) error { _, err := who.readFile(sb, "a"); return err },
		"stat":   func(who *box) error { _, err := who.stat(sb, "a"); return err },
		"make":   func(who *box) error { return notDenied(who.mkdir(sb, "x")) },
		"remove": func(who *box) error { return notDenied(who.remove(sb, "a")) },
		"rename": func(who *box) error { return notDenied(who.rename(sb, "a", "b")) },
		"watch": func(who *box) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := who.WatchFiles(ctx, &sandboxv1.WatchFilesRequest{SandboxId: sb})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"process": func(who *box) error {
			_, err := who.processes().GetProcess(ctx, &sandboxv1.GetProcessRequest{ProcessId: process})
			return err
		},
		"processes": func(who *box) error {
			_, err := who.processes().ListProcesses(ctx, &sandboxv1.ListProcessesRequest{SandboxId: sb})
			return err
		},
		"spawn": func(who *box) error {
			_, err := who.processes().Spawn(ctx, &sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: sb, Command: "true"}})
			return err
		},
		"signal": func(who *box) error {
			_, err := who.processes().SignalProcess(ctx, &sandboxv1.SignalProcessRequest{ProcessId: process, Signal: 18})
			return err
		},
		"attach": func(who *box) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := who.processes().Attach(ctx)
			if err == nil {
				stream.Send(&sandboxv1.AttachInput{Step: &sandboxv1.AttachInput_Attach{Attach: &sandboxv1.AttachRequest{ProcessId: process}}})
				_, err = stream.Recv()
			}
			return err
		},
		"discard": func(who *box) error { _, err := who.discard(sb); return notDenied(err) },
		"snapshot": func(who *box) error {
			_, err := who.SnapshotSandbox(ctx, &sandboxv1.SnapshotSandboxRequest{SandboxId: sb})
			return err
		},
		"create": func(who *box) error {
			_, err := who.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{CodebaseId: cb})
			return err
		},
		"keep": func(who *box) error {
			_, err := who.codebases.KeepCodebase(ctx, &sandboxv1.KeepCodebaseRequest{CodebaseId: cb})
			return err
		},
		"code": func(who *box) error { _, err := who.download(cb, "a"); return err },
	} {
		missing := codes.NotFound
		if got := status.Code(call(bob)); got != missing {
			t.Errorf("%s by another owner: %v", name, got)
		}
		if err := call(admin); err != nil {
			t.Errorf("%s by an admin: %v", name, err)
		}
	}
	for who, want := range map[*box]int{alice: 1, bob: 1, admin: 3, b: 3} {
		list, err := who.ListSandboxes(ctx, &sandboxv1.ListSandboxesRequest{})
		if err != nil || len(list.GetSandboxes()) != want {
			t.Errorf("a list has %d sandboxes, want %d (%v)", len(list.GetSandboxes()), want, err)
		}
	}
	_, err := bob.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: sb})
	wantError(t, err, codes.NotFound, "SANDBOX_NOT_FOUND")
	if _, err := admin.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: sb}); err != nil {
		t.Error(err)
	}
}

// notDenied drops the refusal of what one may ask for but the policy or the
// sandbox's status does not allow.
func notDenied(err error) error {
	if code := status.Code(err); code == codes.PermissionDenied || code == codes.FailedPrecondition {
		return nil
	}
	return err
}

func TestForkBelongsToTheCaller(t *testing.T) {
	b := newBox(t, "--listen-mode", "0666")
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	alice, bob := b.as(t, 3001, 3001), b.as(t, 3002, 3002)
	sb := alice.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: alice.codebase(map[string]string{"a": "a"}), CommitMode: manual, Permissions: writable()})
	alice.run(sb, "echo alice > x; chmod 600 x")
	_, err := bob.ForkSandbox(ctxOf(t), &sandboxv1.ForkSandboxRequest{SandboxId: sb})
	wantError(t, err, codes.NotFound, "SANDBOX_NOT_FOUND")
	fork, err := b.ForkSandbox(ctxOf(t), &sandboxv1.ForkSandboxRequest{SandboxId: sb, Start: true}) // root
	if err != nil {
		t.Fatal(err)
	}
	if got := b.run(fork.GetId(), "cat x; echo root > x; stat -c %U x"); got != "alice\nagent\n" {
		t.Errorf("the fork sees %q", got)
	}
	_, err = alice.GetSandbox(ctxOf(t), &sandboxv1.GetSandboxRequest{SandboxId: fork.GetId()})
	wantError(t, err, codes.NotFound, "SANDBOX_NOT_FOUND")
}

func TestIngestReadsAsTheCaller(t *testing.T) {
	b := newBox(t, "--listen-mode", "0666")
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.dir, "project")
	for path, mode := range map[string]os.FileMode{"a.txt": 0o644, "run.sh": 0o755, ".env": 0o644, "junk.pyc": 0o644} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(path), mode); err != nil {
			t.Fatal(err)
		}
	}
	alice := b.as(t, 3001, 3001)
	cb := alice.codebase(nil)
	result, err := alice.ingest(cb, dir)
	if err != nil {
		t.Fatal(err)
	}
	if result.GetFiles() != 2 || result.GetCodebase().GetFileCount() != 2 || len(result.GetSkipped()) != 2 {
		t.Errorf("result is %v", result)
	}
	if got, err := alice.download(cb, "a.txt"); got != "a.txt" || err != nil {
		t.Errorf("a.txt is %q, %v", got, err)
	}
	sb := alice.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, Permissions: reading()})
	if got := alice.run(sb, "stat -c '%a %n' *; ls -A"); got != "644 a.txt\n755 output\n755 run.sh\na.txt\noutput\nrun.sh\n" {
		t.Errorf("output is %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = alice.ingest(cb, dir)
	if info := wantError(t, err, codes.PermissionDenied, "FILE_UNREADABLE"); info.GetMetadata()["path"] != "secret" {
		t.Errorf("metadata is %v", info.GetMetadata())
	}
	_, err = alice.ingest(cb, dir+"/nope")
	wantError(t, err, codes.NotFound, "DIRECTORY_NOT_FOUND")
	if result, err := b.ingest(b.codebase(nil), dir); err != nil || result.GetFiles() != 3 {
		t.Errorf("as root: %v, %v", result, err)
	}
}

func (b *box) ingest(codebase, dir string) (*sandboxv1.IngestResult, error) {
	stream, err := b.codebases.IngestDirectory(ctxOf(b.T), &sandboxv1.IngestDirectoryRequest{
		CodebaseId: codebase, Directory: []byte(dir),
		Options: &sandboxv1.IngestOptions{Permissions: []*sandboxv1.PermissionRule{rule("**/*", read), rule("**/.env*", none)}},
	})
	if err != nil {
		return nil, err
	}
	for {
		m, err := stream.Recv()
		if err != nil || m.GetResult() != nil {
			return m.GetResult(), err
		}
	}
}

func TestSocketMode(t *testing.T) {
	b := newBox(t, "--group", "4243")
	var st unix.Stat_t
	if err := unix.Stat(b.socket(), &st); err != nil || st.Mode&0o777 != 0o660 || st.Gid != 4243 || st.Uid != 0 {
		t.Errorf("socket is %o %d:%d, %v", st.Mode&0o777, st.Uid, st.Gid, err)
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := dialAs(b.socket(), 3001, 3001, nil); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a stranger's connection: %v", err)
	}
	conn, err := dialAs(b.socket(), 3001, 3001, []int{4243})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
