//go:build root

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const lastCall = 600

// ownRefusals are calls that a kernel refuses with EPERM by itself, to somebody
// without rights who asks for everything.
var ownRefusals = map[string]bool{"setgroups": true}

// unfiltered are calls of the kernel's own trampolines, which no filter is asked
// about, with what it answers to anybody else since it has them.
var unfiltered = map[int][]string{
	335: {"returned -38", "signal 4"},    // uretprobe, 6.11
	336: {"returned -38", "returned -6"}, // uprobe, 6.18
}

// TestEveryCallIsAnsweredAsTheTableSays makes every system call inside a
// sandbox of every preset, natively and by the 32-bit entry.
func TestEveryCallIsAnsweredAsTheTableSays(t *testing.T) {
	sweep := filepath.Join(t.TempDir(), "sweep")
	if out, err := exec.Command("gcc", "-static", "-O1", "-Wall", "-Werror", "-o", sweep, "testdata/sweep.c").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the sweep: %v\n%s", err, out)
	}
	if out, err := exec.Command(sweep).CombinedOutput(); err == nil || !strings.Contains(string(out), "this is no sandbox") {
		t.Fatalf("outside of a sandbox the sweep says %q, %v", out, err)
	}
	program, err := os.ReadFile(sweep)
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t)
	cb := b.codebase(map[string]string{"a": "a"})
	for _, preset := range policy.Presets() {
		t.Run(preset.Name, func(t *testing.T) {
			req := &sandboxv1.CreateSandboxRequest{CodebaseId: cb, CommitMode: manual}
			for _, r := range preset.Rules {
				w := rule(r.Pattern, sandboxv1.Permission(r.Level)+none)
				w.Priority, w.Preset = r.Priority, r.Preset
				req.Permissions = append(req.Permissions, w)
			}
			compareSweep(t, readGolden(t, strings.Join(preset.Groups, "-")), sweepIn(t, b, b.sandbox(req), program))
		})
	}
}

// sweepIn runs the sweep in a sandbox and returns what it printed.
func sweepIn(t *testing.T, b *box, sandbox string, program []byte) string {
	t.Helper()
	res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{
		SandboxId: sandbox, Command: "cat > /tmp/sweep && chmod 755 /tmp/sweep && exec /tmp/sweep", StdinBytes: program,
	})
	if err != nil || res.GetExitCode() != 0 {
		t.Fatalf("the sweep: %v, %v", res, err)
	}
	return res.GetStdout()
}

// compareSweep holds what the sweep found to what the table says.
func compareSweep(t *testing.T, golden map[int]goldenCall, out string) {
	t.Helper()
	tried := 0
	for line := range strings.Lines(out) {
		var how, what string
		var n, value int
		if _, err := fmt.Sscan(line, &how, &n, &what); err != nil {
			t.Fatalf("the sweep said %q", line)
		}
		_, _ = fmt.Sscanf(line, how+" %d "+what+" %d", &n, &value)
		tried++
		if how == "foreign" {
			if what != "signal" || value != int(unix.SIGSYS) {
				t.Errorf("by int 0x80: %s, want the process killed", line)
			}
			continue
		}
		got := "allow"
		if what == "returned" {
			switch -value {
			case int(unix.EPERM):
				got = "EPERM"
			case int(unix.ENOSYS):
				got = "ENOSYS"
			}
		}
		call := golden[n]
		switch {
		case got == call.answer:
		case slices.Contains(unfiltered[n], fmt.Sprintf("%s %d", what, value)):
		case call.answer == "allow" && got == "EPERM" && ownRefusals[call.name]:
		case call.answer == "allow" && got == "ENOSYS" && lacks(n):
		default:
			t.Errorf("call %d %s: %s, want %s", n, call.name, strings.TrimSpace(line), call.answer)
		}
	}
	want := lastCall + 1
	if runtime.GOARCH == "amd64" {
		want *= 2
	}
	if tried != want {
		t.Errorf("%d calls were tried, want %d", tried, want)
	}
}

// lacks reports whether this kernel itself does not know a call that is newer
// than 5.0. Its arguments are those of the sweep: no call takes them.
func lacks(n int) bool {
	const all = ^uintptr(0)
	if n < 424 {
		return false
	}
	_, _, errno := unix.RawSyscall6(uintptr(n), all, all, all, all, all, all)
	return errno == unix.ENOSYS
}

// goldenCall is one line of a golden table.
type goldenCall struct{ name, answer string }

// readGolden returns what a table says of calls whose arguments have all bits
// set.
func readGolden(t *testing.T, name string) map[int]goldenCall {
	t.Helper()
	data, err := os.ReadFile("../../landlock/seccomp/testdata/" + name + "." + runtime.GOARCH + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[int]goldenCall{}
	for line := range strings.Lines(string(data)) {
		number, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		name, answer, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if judged, is := strings.CutSuffix(name, "(...)"); is {
			name, answer = judged, judge(t, answer)
		}
		calls[n] = goldenCall{name, answer}
	}
	if len(calls) != lastCall+1 {
		t.Fatalf("the table %s has %d calls", name, len(calls))
	}
	return calls
}

var condition = regexp.MustCompile(`^arg\d(?:&0x([0-9a-f]+))?=0x([0-9a-f]+)$`)

// judge finds the answer in "EPERM if arg0&0x2=0x2 arg1=0x1; else allow".
func judge(t *testing.T, rule string) string {
	t.Helper()
	for clause := range strings.SplitSeq(rule, "; ") {
		if answer, is := strings.CutPrefix(clause, "else "); is {
			return answer
		}
		answer, when, _ := strings.Cut(clause, " if ")
		holds := true
		for c := range strings.FieldsSeq(when) {
			m := condition.FindStringSubmatch(c)
			if m == nil {
				t.Fatalf("cannot read the condition %q", c)
			}
			mask := uint64(0xffffffff)
			if m[1] != "" {
				mask, _ = strconv.ParseUint(m[1], 16, 64)
			}
			value, _ := strconv.ParseUint(m[2], 16, 64)
			holds = holds && mask == value // all bits are set
		}
		if holds {
			return answer
		}
	}
	t.Fatalf("cannot read the rule %q", rule)
	return ""
}
