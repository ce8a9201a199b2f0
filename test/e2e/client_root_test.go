//go:build root

package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

// rules turns a preset, and rules as the command line takes them, into what
// travels.
func rules(t testing.TB, preset string, more ...string) []*sandboxv1.PermissionRule {
	t.Helper()
	list, err := policy.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range more {
		r, err := policy.ParseRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	var out []*sandboxv1.PermissionRule
	for _, r := range list {
		out = append(out, &sandboxv1.PermissionRule{
			Pattern:    r.Pattern,
			Type:       sandboxv1.PatternType(r.Type) + sandboxv1.PatternType_PATTERN_TYPE_GLOB,
			Permission: sandboxv1.Permission(r.Level) + sandboxv1.Permission_PERMISSION_NONE,
			Priority:   r.Priority,
			Preset:     r.Preset,
		})
	}
	return out
}

// ingest makes a codebase of a directory.
func (d *daemon) ingest(dir string, hide []*sandboxv1.PermissionRule) (*sandboxv1.Codebase, *sandboxv1.IngestResult) {
	d.t.Helper()
	cb, err := d.codebase.CreateCodebase(d.t.Context(), &sandboxv1.CreateCodebaseRequest{Name: filepath.Base(dir)})
	if err != nil {
		d.t.Fatal(err)
	}
	result, err := d.ingestInto(cb.GetId(), dir, hide)
	if err != nil {
		d.t.Fatal(err)
	}
	return cb, result
}

func (d *daemon) ingestInto(id, dir string, hide []*sandboxv1.PermissionRule) (*sandboxv1.IngestResult, error) {
	d.t.Helper()
	stream, err := d.codebase.IngestDirectory(d.t.Context(), &sandboxv1.IngestDirectoryRequest{
		CodebaseId: id, Directory: []byte(dir), Options: &sandboxv1.IngestOptions{Permissions: hide},
	})
	if err != nil {
		return nil, err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if m.GetResult() != nil {
			return m.GetResult(), nil
		}
	}
}

// box is a running sandbox.
type box struct {
	d  *daemon
	id string
}

// open starts a sandbox on a codebase.
func (d *daemon) open(cb *sandboxv1.Codebase, perms []*sandboxv1.PermissionRule, limits *sandboxv1.ResourceLimits) *box {
	d.t.Helper()
	sb, err := d.sandbox.CreateSandbox(d.t.Context(), &sandboxv1.CreateSandboxRequest{
		CodebaseId: cb.GetId(), Permissions: perms, Resources: limits,
		CommitMode: sandboxv1.CommitMode_COMMIT_MODE_MANUAL, Start: true,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return &box{d: d, id: sb.GetId()}
}

// local is open on a directory, which it ingests under the same rules.
func (d *daemon) local(dir, preset string, more ...string) *box {
	d.t.Helper()
	perms := rules(d.t, preset, more...)
	cb, _ := d.ingest(dir, perms)
	return d.open(cb, perms, nil)
}

// run runs a shell command for at most five minutes.
func (b *box) run(command string) *sandboxv1.ExecResult {
	b.d.t.Helper()
	r, err := b.d.sandbox.Exec(b.d.t.Context(), &sandboxv1.ExecRequest{
		SandboxId: b.id, Command: command, Timeout: durationpb.New(300e9),
	})
	if err != nil {
		b.d.t.Fatalf("Exec(%q) = %v", command, err)
	}
	return r
}

// expect fails unless the command succeeds and says exactly want.
func (b *box) expect(command, want string) {
	b.d.t.Helper()
	if r := b.run(command); r.GetExitCode() != 0 || r.GetStdout() != want {
		b.d.t.Errorf("%q = %d, stdout %.2000q, stderr %.2000q; want %.2000q", command, r.GetExitCode(), r.GetStdout(), r.GetStderr(), want)
	}
}

// works fails unless the command succeeds.
func (b *box) works(command string) {
	b.d.t.Helper()
	if r := b.run(command); r.GetExitCode() != 0 {
		b.d.t.Errorf("%q = %d, stdout %.2000q, stderr %.2000q", command, r.GetExitCode(), r.GetStdout(), r.GetStderr())
	}
}

// refuses fails unless the command fails and names why.
func (b *box) refuses(command, why string) {
	b.d.t.Helper()
	r := b.run(command)
	if r.GetExitCode() == 0 || !strings.Contains(r.GetStdout()+r.GetStderr(), why) {
		b.d.t.Errorf("%q = %d, stdout %.2000q, stderr %.2000q; want failure with %q", command, r.GetExitCode(), r.GetStdout(), r.GetStderr(), why)
	}
}

func (b *box) read(path string) (string, error) {
	stream, err := b.d.sandbox.ReadFile(b.d.t.Context(), &sandboxv1.ReadFileRequest{SandboxId: b.id, Path: []byte(path)})
	if err != nil {
		return "", err
	}
	var out []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return string(out), nil
		}
		if err != nil {
			return "", err
		}
		out = append(out, m.GetData()...)
	}
}

func (b *box) destroy() {
	b.d.t.Helper()
	if _, err := b.d.sandbox.DestroySandbox(b.d.t.Context(), &sandboxv1.DestroySandboxRequest{SandboxId: b.id}); err != nil {
		b.d.t.Errorf("DestroySandbox() = %v", err)
	}
}

// tree makes a directory of files.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell runs a command on the host.
func shell(t testing.TB, dir, command string) string {
	t.Helper()
	c := exec.Command("bash", "-c", command)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%q on the host: %v\n%s", command, err, out)
	}
	return string(out)
}
