//go:build root

package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

var (
	update  = flag.Bool("update", false, "write the table of answers instead of comparing with it")
	raceFor = flag.Duration("race-time", 2*time.Second, "how long races are run; the full run takes 60s")
	only    = flag.String("zoo", "", "only probes that match")
	image   = flag.String("image", "", "visit containers of this image, which has the programs of -tools")
	toolsAt = flag.String("tools", "", "a directory to use for programs that sandboxes see, instead of a new one")
)

var presets = []string{"view-only", "read-only", "agent-safe", "development", "full-access"}

// Every probe is answered in a sandbox of every preset as a human has reviewed
// it, and none gets out.
func TestNothingEscapes(t *testing.T) {
	tools := toolsDirectory(t)
	d := start(t, bin, "--toolchain", tools)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	cb := d.ingest(dir)
	boxes := map[string]string{}
	for _, p := range presets {
		boxes[p] = d.open(cb, p)
	}
	host := filepath.Join(d.dir, "host")
	if err := os.Mkdir(host, 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := newOutside(host, tools, bin+"/zoo", d.uid(boxes["read-only"]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}()
	got := d.visitAll(boxes, o)
	for column, answers := range got {
		for name, a := range answers {
			if a.verdict == Leak || a.verdict == Broken {
				t.Errorf("%s: %s", column, a.line(name))
			}
		}
	}
	if *update && *only == "" {
		writeTable(t, got)
	} else {
		compareTable(t, got)
	}
	for preset, sandbox := range boxes {
		d.checkDelta(preset, sandbox)
	}
}

// toolsDirectory lies outside of /tmp, over which each sandbox has its own.
func toolsDirectory(t *testing.T) string {
	t.Helper()
	if *toolsAt != "" {
		return *toolsAt
	}
	if err := os.MkdirAll("/opt", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/opt", "agentfense-zoo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// uid is who the sandboxes of the caller are.
func (d *daemon) uid(sandbox string) uint32 {
	d.Helper()
	r, err := d.Exec(bound(d), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "id -u"})
	if err != nil {
		d.Fatal(err)
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(r.GetStdout()), 10, 32)
	if err != nil || uid == 0 {
		d.Fatalf("uid is %q", r.GetStdout())
	}
	return uint32(uid)
}

// visitAll runs zoo in each sandbox, two at a time.
func (d *daemon) visitAll(boxes map[string]string, o *outside) map[string]map[string]answer {
	d.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[string]map[string]answer{}
	slots := make(chan struct{}, 2)
	for preset, sandbox := range boxes {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers := d.visit(preset, sandbox, o)
			mu.Lock()
			defer mu.Unlock()
			got[preset] = answers
		})
	}
	all.Wait()
	return got
}

func (d *daemon) visit(preset, sandbox string, o *outside) map[string]answer {
	argv := append([]string{o.tools + "/zoo", "-in", placeSandbox, "-preset", preset, "-race", raceFor.String(), "-run", *only}, o.args()...)
	raw := make([][]byte, len(argv))
	for i, a := range argv {
		raw[i] = []byte(a)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute+4**raceFor)
	defer cancel()
	r, err := d.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: sandbox, Argv: raw, Timeout: durationpb.New(5*time.Minute + 4**raceFor)})
	if err != nil || r.GetExitCode() != 0 || r.GetStdoutTruncated() {
		d.Errorf("zoo under %s: %v, exit code %d, %s", preset, err, r.GetExitCode(), r.GetStderr())
		return nil
	}
	answers := map[string]answer{}
	for line := range strings.Lines(r.GetStdout()) {
		name, a, ok := parseLine(strings.TrimSuffix(line, "\n"))
		if !ok {
			d.Errorf("zoo under %s said %q", preset, line)
			continue
		}
		answers[name] = a
	}
	return answers
}

// compareTable compares with the table of all kernels, in which those of this
// one and of containers, if there are, replace lines.
func compareTable(t *testing.T, got map[string]map[string]answer) {
	t.Helper()
	want, err := readTable("sandbox")
	if err != nil {
		t.Fatal(err)
	}
	special := []string{"sandbox-" + kernelVersion()}
	if *image != "" {
		special = append(special, "sandbox-image")
	}
	for _, name := range special {
		if own, err := readTable(name); err == nil {
			maps.Copy(want.rows, own.rows)
			maps.Copy(want.reasons, own.reasons)
		}
	}
	different := map[string]bool{}
	for _, preset := range presets {
		for _, d := range want.compare(preset, got[preset], regexp.MustCompile(*only)) {
			t.Error(d)
			name, _, _ := strings.Cut(d, " ")
			different[name] = true
		}
	}
	if len(different) > 0 {
		short := map[string]map[string]answer{}
		for preset, answers := range got {
			short[preset] = map[string]answer{}
			for name, a := range answers {
				if different[name] {
					short[preset][name] = a
				}
			}
		}
		t.Logf("lines of a table for %s:\n%s", kernelVersion(), format(presets, short))
	}
}

func writeTable(t *testing.T, got map[string]map[string]answer) {
	t.Helper()
	const head = "# What stops each probe in a sandbox of each preset. Reviewed; go test -tags root ./test/zoo -update writes it.\n"
	if err := os.WriteFile("testdata/sandbox.txt", []byte(head+format(presets, got)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkDelta looks at a sandbox from outside, after all attacks: nothing that
// its policy protects was changed.
func (d *daemon) checkDelta(preset, sandbox string) {
	d.Helper()
	r, err := d.Diff(bound(d), &sandboxv1.DiffRequest{SandboxId: sandbox})
	if err != nil {
		d.Fatal(err)
	}
	for _, c := range r.GetChanges() {
		path := strings.TrimPrefix(string(c.GetPath()), "/")
		if slices.Contains(frozen, path) || slices.Contains(frozenDirs, path) || slices.Contains(hidden, path) && !c.GetShadowed() {
			d.Errorf("%s: %v", preset, c)
		}
		if preset == "view-only" || preset == "read-only" {
			d.Errorf("%s changed %v", preset, c)
		}
	}
	if _, err := d.GetSandbox(bound(d), &sandboxv1.GetSandboxRequest{SandboxId: sandbox}); err != nil {
		d.Error(err)
	}
}

// A probe that leaks makes the run fail, and so does one that is new.
func TestTableNoticesEveryChange(t *testing.T) {
	want, err := parseTable("x", "probe one two\nx/a EPERM EPERM\nx/b ENOENT N/A because of b\nx/gone EPERM EPERM\n")
	if err != nil {
		t.Fatal(err)
	}
	everything := regexp.MustCompile("")
	for name, tt := range map[string]struct {
		column string
		got    map[string]answer
		want   string
	}{
		"a leak":           {"one", map[string]answer{"x/a": leak("it"), "x/b": blocked("ENOENT"), "x/gone": blocked("EPERM")}, "x/a in one: want EPERM, got x/a LEAK - it"},
		"another errno":    {"one", map[string]answer{"x/a": blocked("EPERM"), "x/b": blocked("EACCES"), "x/gone": blocked("EPERM")}, "x/b in one: want ENOENT, got x/b BLOCKED EACCES"},
		"another reason":   {"two", map[string]answer{"x/a": blocked("EPERM"), "x/b": none("it rains"), "x/gone": blocked("EPERM")}, "x/b in two: another reason: it rains"},
		"a new probe":      {"one", map[string]answer{"x/a": blocked("EPERM"), "x/b": blocked("ENOENT"), "x/c": blocked("EPERM"), "x/gone": blocked("EPERM")}, "x/c in one: new: x/c BLOCKED EPERM"},
		"a missing probe":  {"one", map[string]answer{"x/a": blocked("EPERM"), "x/b": blocked("ENOENT")}, "x/gone in one: no such probe answered"},
		"a missing column": {"three", nil, `table x has no column "three"`},
		"no change":        {"two", map[string]answer{"x/a": blocked("EPERM"), "x/b": none("because of b"), "x/gone": blocked("EPERM")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(want.compare(tt.column, tt.got, everything), "; "); got != tt.want {
				t.Errorf("compare() = %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := parseTable("x", "probe one\nx/a N/A\n"); err == nil || !strings.Contains(fmt.Sprint(err), "no reason") {
		t.Errorf("parseTable() of N/A without a reason = %v", err)
	}
}
