//go:build root

package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func lossNames(losses []*sandboxv1.Loss) []string {
	var names []string
	for _, l := range losses {
		names = append(names, l.GetName())
	}
	return names
}

func TestStrictSandboxesStartWithNoLoss(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	info, err := b.GetInfo(ctxOf(t), &sandboxv1.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	lost := lossNames(info.GetLosses())
	if len(lost) == 0 {
		t.Fatal("this test needs a host that lacks something, such as Landlock's ABI 9")
	}
	_, err = b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Strict: true, Start: true})
	about := wantError(t, err, codes.FailedPrecondition, "LOSS_NOT_ACCEPTED").GetMetadata()
	if about["loss"] != lost[0] || about["consequence"] == "" || about["fix"] == "" || about["codebase_id"] != cb {
		t.Errorf("the error is about %q, want the loss %s", about, lost[0])
	}
	sb, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Strict: true, Start: true, AcceptLosses: lost})
	if err != nil {
		t.Fatal(err)
	}
	if !sb.GetStrict() || !slices.Equal(sb.GetAcceptedLosses(), slices.Sorted(slices.Values(lost))) || !slices.Equal(lossNames(sb.GetLosses()), lost) {
		t.Errorf("the sandbox shows strict %v, accepted %q, losses %v, want %q", sb.GetStrict(), sb.GetAcceptedLosses(), sb.GetLosses(), lost)
	}
	for field, req := range map[string]*sandboxv1.CreateSandboxRequest{
		"accept_losses":  {CodebaseId: cb, AcceptLosses: []string{"everything"}},
		"seccomp_groups": {CodebaseId: cb, SeccompGroups: []string{"mount"}},
	} {
		_, err := b.CreateSandbox(ctxOf(t), req)
		if got := wantError(t, err, codes.InvalidArgument, "INVALID_FIELD").GetMetadata()["field"]; got != field {
			t.Errorf("the error is about field %q, want %q", got, field)
		}
	}
}

func TestSeccompGroupsCanBeAskedFor(t *testing.T) {
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	const trace = `python3 -c 'import ctypes; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))'`
	for want, groups := range map[string][]string{"-1\n": nil, "0\n": {"debug", "debug"}} {
		sb, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{
			CodebaseId: cb, Start: true, SeccompGroups: groups,
			Permissions: []*sandboxv1.PermissionRule{rule("**/*", read)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.run(sb.GetId(), trace); got != want {
			t.Errorf("with groups %q ptrace returns %q, want %q", groups, got, want)
		}
		if len(groups) > 0 && !slices.Equal(sb.GetSeccompGroups(), []string{"debug"}) {
			t.Errorf("the sandbox shows the groups %q", sb.GetSeccompGroups())
		}
	}
}

// hideController makes the kernel seem to lack a cgroup controller.
func hideController(name string) string {
	return `umount /sys/fs/cgroup/` + name + ` 2>/dev/null || {
		f=$(mktemp) && sed 's/\<` + name + `\>//' /sys/fs/cgroup/cgroup.controllers > $f &&
		mount --bind $f /sys/fs/cgroup/cgroup.controllers && rm $f
	}`
}

func TestALimitThatCannotBeEnforcedIsRefused(t *testing.T) {
	b := newBoxAfter(t, hideController("memory"))
	cb := b.codebase(map[string]string{"a": "a"})
	memory := &sandboxv1.ResourceLimits{MemoryBytes: 64 << 20}
	_, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Start: true, Resources: memory})
	if got := wantError(t, err, codes.FailedPrecondition, "LOSS_NOT_ACCEPTED").GetMetadata()["loss"]; got != "memory-limit" {
		t.Errorf("the error is about %q", got)
	}
	for name, req := range map[string]*sandboxv1.CreateSandboxRequest{
		"no limit asked": {CodebaseId: cb, Start: true},
		"loss accepted":  {CodebaseId: cb, Start: true, Resources: memory, AcceptLosses: []string{"memory-limit"}},
	} {
		sb, err := b.CreateSandbox(ctxOf(t), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := b.run(sb.GetId(), "echo alive"); got != "alive\n" {
			t.Errorf("%s: the sandbox said %q", name, got)
		}
		if shown := slices.Contains(lossNames(sb.GetLosses()), "memory-limit"); shown != (req.GetResources() != nil) {
			t.Errorf("%s: the sandbox shows the losses %q", name, lossNames(sb.GetLosses()))
		}
	}
	if !strings.Contains(b.log.String(), "loss=memory-limit") {
		t.Error("the daemon's log does not name the loss")
	}
}

func TestNoSandboxGoesWithoutPidsLimitUnasked(t *testing.T) {
	b := newBoxAfter(t, hideController("pids"))
	cb := b.codebase(map[string]string{"a": "a"})
	_, err := b.CreateSandbox(ctxOf(t), &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Start: true})
	if got := wantError(t, err, codes.FailedPrecondition, "LOSS_NOT_ACCEPTED").GetMetadata()["loss"]; got != "pids-limit" {
		t.Errorf("the error is about %q", got)
	}
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: cb, AcceptLosses: []string{"pids-limit"}})
	if got := b.run(sb, "echo alive"); got != "alive\n" {
		t.Errorf("the sandbox said %q", got)
	}
}

// TestWhatTheKernelLacksIsNotForgotten runs the daemon as on kernels without
// Landlock and without seccomp.
func TestWhatTheKernelLacksIsNotForgotten(t *testing.T) {
	without := filepath.Join(t.TempDir(), "without")
	if out, err := exec.Command("gcc", "-static", "-O1", "-Wall", "-Werror", "-o", without, "testdata/without.c").CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	for loss, look := range map[string]string{"landlock": "echo x > a", "seccomp": "grep -q 'Seccomp_filters:.1$' /proc/self/status && echo x > a"} {
		t.Run(loss, func(t *testing.T) {
			b := &box{T: t, dir: t.TempDir(), prefix: []string{without, loss}}
			b.start()
			t.Cleanup(b.stop)
			cb := b.codebase(map[string]string{"a": "a"})
			req := &sandboxv1.CreateSandboxRequest{CodebaseId: cb, Start: true, Permissions: []*sandboxv1.PermissionRule{rule("**/*", read)}}
			_, err := b.CreateSandbox(ctxOf(t), req)
			if got := wantError(t, err, codes.FailedPrecondition, "LOSS_NOT_ACCEPTED").GetMetadata()["loss"]; got != loss {
				t.Errorf("the error is about %q", got)
			}
			req.AcceptLosses = []string{loss}
			sb, err := b.CreateSandbox(ctxOf(t), req)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(lossNames(sb.GetLosses()), loss) {
				t.Errorf("the sandbox shows the losses %q", lossNames(sb.GetLosses()))
			}
			// What is left still holds.
			if out := b.tell(sb.GetId(), look); !strings.Contains(out, "Read-only file system") {
				t.Errorf("writing to a file that can be read said %q", out)
			}
		})
	}
}
