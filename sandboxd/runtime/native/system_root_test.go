//go:build root

package native

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

func TestSandboxesStandBehindTheDaemon(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	base, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	adj, _ := strconv.Atoi(strings.TrimSpace(string(score)))
	want := fmt.Sprintf("%d\n%d\n1000\n", 20-base+5, min(adj+500, 1000))
	if out, _ := run(t, i, "sleep 0.1; nice; cat /proc/1/oom_score_adj; cat /proc/self/oom_score_adj", 0); out != want {
		t.Errorf("nice and oom score are %q, want %q", out, want)
	}
	// Who has this capability sets the least that a score can be lowered to.
	least := adj
	if status, _ := os.ReadFile("/proc/self/status"); capable(string(status), unix.CAP_SYS_RESOURCE) {
		least += 500
	}
	out, _ := run(t, i, "for n in 500 499 1 0 -1 -17 -1000; do /bin/echo $n > /proc/$$/oom_score_adj; /bin/echo $n > /proc/$$/oom_adj; done 2>/dev/null; cat /proc/$$/oom_score_adj", 0)
	if n, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || n < least {
		t.Errorf("a sandbox that wants to be killed last has %q, want at least %d", out, least)
	}
	if out, _ := run(t, i, "nice -n -1 true; chrt -f 1 true", 0); strings.Count(out, "not permitted")+strings.Count(out, "denied") < 2 {
		t.Errorf("a sandbox that wants to be first is told %q", out)
	}
}

// capable tells whether a process may do something, by its status.
func capable(status string, what int) bool {
	_, caps, _ := strings.Cut(status, "\nCapEff:")
	caps, _, _ = strings.Cut(caps, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(caps), 16, 64)
	return err == nil && set&(1<<what) != 0
}

// crash is a program that would dump core, and says what the limit is.
const crash = `ulimit -Sc; ulimit -Hc; ulimit -c unlimited 2>/dev/null && echo raised; cd /tmp; sh -c 'kill -SEGV $$'; ls /tmp`

// The kernel runs core_pattern's program on the host, as root, for whatever
// crashes, unless the limit is one byte.
func TestCrashesRunNothingOnTheHost(t *testing.T) {
	const setting = "/proc/sys/kernel/core_pattern"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mark, handler := dir+"/dumped", dir+"/handler"
	if err := os.WriteFile(handler, []byte("#!/bin/sh\ncat >/dev/null; [ \"$1\" != "+strconv.Itoa(testUID)+" ] || echo dumped >> "+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(setting, []byte("|"+handler+" %u"), 0o644); err != nil {
		t.Skip("the machine does not let core_pattern be changed: ", err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(setting, before, 0o644); err != nil {
			t.Error(err)
		}
	})
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	out, _ := run(t, i, crash, 0)
	if !strings.HasPrefix(out, "0\n0\n") && !strings.HasPrefix(out, "1\n1\n") || strings.Contains(out, "raised") || strings.Contains(out, "core") {
		t.Errorf("the crash said %q", out)
	}
	if data, err := os.ReadFile(mark); err == nil {
		t.Errorf("the host's handler ran: %q", data)
	}
}

func TestResourceLimitsOfCommands(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	out, _ := run(t, i, "cat /proc/self/limits", 0)
	for _, want := range []string{
		`Max core file size +1 +1 `, `Max open files +1024 +\d+ `, `Max locked memory +\d+ +\d+ `,
		`Max realtime priority +0 +0 `, `Max nice priority +0 +0 `, `Max msgqueue size +\d+ +\d+ `,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("limits lack %q:\n%s", want, out)
		}
	}
	for _, place := range []string{"/tmp", "/dev/shm", "/home/agent"} {
		out, _ := run(t, i, "df --output=itotal "+place+" | tail -1", 0)
		if n, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || n <= 0 || n > 1<<19 {
			t.Errorf("%s takes %q files", place, out)
		}
	}
}

func TestProcTellsLittleOfTheHost(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	for command, want := range map[string]string{
		"cd /proc; for f in cmdline interrupts kallsyms kcore key-users keys kmsg locks partitions swaps sysrq-trigger timer_list diskstats; do [ ! -e $f ] || head -c1 $f; done": "",
		"cd /proc; ls -A acpi asound driver fs scsi 2>/dev/null | grep -v : | tr -d '\\n'":                                                                                        "",
		"for f in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/irq/default_smp_affinity; do [ ! -e $f ] || echo x > $f; done 2>&1 | grep -vc Read-only; true":     "0\n",
		"umount /proc/keys 2>/dev/null || head -c1 /proc/keys":                                                                                                                    "",
	} {
		if out, _ := run(t, i, command, 0); out != want {
			t.Errorf("run(%q) = %q, want %q", command, out, want)
		}
	}
}
