//go:build root

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// TestSessionLatency prints what a call costs; its bounds are generous, for a
// machine that does other things.
func TestSessionLatency(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil), CommitMode: manual})
	for _, shell := range []string{"bash", "sh"} {
		var created, ran []time.Duration
		for range 30 {
			begin := time.Now()
			s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
			created = append(created, time.Since(begin))
			for range 30 {
				begin := time.Now()
				s.exec("X=1")
				ran = append(ran, time.Since(begin))
			}
			b.drop(t, s)
		}
		t.Logf("%s: create p50 %v, exec p50 %v p99 %v", shell, quantile(created, 50), quantile(ran, 50), quantile(ran, 99))
		if quantile(ran, 50) > 20*time.Millisecond || quantile(created, 50) > 200*time.Millisecond {
			t.Errorf("%s: sessions are slow", shell)
		}
	}
}

func quantile(d []time.Duration, percent int) time.Duration {
	slices.Sort(d)
	return d[len(d)*percent/100]
}

// Whatever a payload does to its own shell and socket, the daemon lives, waits
// for nothing without end, and other sessions do not notice.
func TestHostileSession(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	good := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	for name, command := range map[string]string{
		"a flood of reports":         "yes 'd 1 0 1 h' >&250",
		"a line without end":         "head -c 100000000 /dev/zero >&250",
		"a state without end":        "K=$(declare -f __af_d | grep -o '[0-9a-f]\\{24\\}'); { printf '\\n%s r 0\\n' $K; yes; } >&250",
		"numbers out of range":       "K=$(declare -f __af_d | grep -o '[0-9a-f]\\{24\\}'); printf '\\n%s d 99999999999999999999 -1 4294967296 x\\n' $K >&250; sleep 600",
		"a report that is forged":    "K=$(declare -f __af_d | grep -o '[0-9a-f]\\{24\\}'); for i in 1 2 3 4 5 6 7 8 9; do printf '\\n%s d %d 0 4294967295 hB\\n' $K $i >&250; done; sleep 600",
		"a revival that is forged":   "K=$(declare -f __af_d | grep -o '[0-9a-f]\\{24\\}'); printf '\\n%s r 0\\nexit 9\\n%s .\\n' $K $K >&250; sleep 600",
		"an endless revival":         "K=$(declare -f __af_d | grep -o '[0-9a-f]\\{24\\}'); while :; do printf '\\n%s r 0\\n%s .\\n' $K $K >&250; done",
		"the socket read by a child": "cat <&250 >/dev/null & exec 250>&-; sleep 600",
		"no more reports":            "__af_d() { :; }",
		"nothing is executed":        "set -n",
		"every function gone":        "unset -f $(compgen -A function); set -e; false",
		"every signal ignored":       "for i in $(seq 1 64); do trap '' $i; done 2>/dev/null; while :; do :; done",
	} {
		t.Run(name, func(t *testing.T) {
			s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
			begin := time.Now()
			_, _ = s.try(command, 500*time.Millisecond)
			_, _ = s.try("echo after", 500*time.Millisecond)
			_, _ = s.try("echo after", 500*time.Millisecond)
			b.drop(t, s)
			if took := time.Since(begin); took > 25*time.Second {
				t.Errorf("it took %v", took)
			}
			good.check(want{command: "echo good", stdout: "good\n"})
		})
	}
	out, err := readStatus(b.cmd.Process.Pid)
	if err != nil || out > 400<<10 {
		t.Errorf("the daemon has used %d KiB, %v", out, err)
	}
}

// readStatus returns the most memory that a process has used, in KiB.
func readStatus(pid int) (int, error) {
	data, err := readFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(data, "VmHWM:")
	return strconv.Atoi(strings.Fields(rest)[0])
}

func readFile(path string) (string, error) {
	data, err := os.ReadFile(path)
	return string(data), err
}

func TestSessionsLeaveNothing(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	round := func(n int) {
		for i := range n {
			s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: []string{"bash", "sh"}[i%2]})
			s.exec("sleep 4712 & true")
			switch i % 3 {
			case 0:
				_, _ = s.try("sleep 4712", 20*time.Millisecond)
			case 1:
				s.exec("exit 1")
			}
			b.drop(t, s)
		}
	}
	fds := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	round(6)
	before := fds()
	round(30)
	waitFor(t, "the daemon to close what it opened", func() bool { return fds() <= before })
	if alive(t, "sleep\x004712") {
		t.Error("a process of a session that was destroyed still runs")
	}
}

func TestSessionsEndWithTheDaemon(t *testing.T) {
	b := newBox(t)
	for i := range 4 {
		sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
		s.exec("setsid sleep 4713 & trap '' 1 2 3 15 64; true")
		go s.try([]string{"sleep 4713", "yes", "while :; do :; done", "exec sleep 4713"}[i], 0)
	}
	time.Sleep(300 * time.Millisecond)
	b.crash()
	for range 100 {
		if !alive(t, "sleep\x004713") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if alive(t, "sleep\x004713") {
		t.Error("a process of the crashed daemon's session still runs")
	}
	b.start()
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	s.exec("setsid sleep 4713 &")
	go s.try("yes", 0) // stop must not take long now
	time.Sleep(100 * time.Millisecond)
}

// The end of one shell must not reach the next that runs in its place.
func TestSessionSurvivesTheEndOfAnother(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	stay := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
	for i := range 300 {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: "sh"})
		if i%10 == 0 {
			s.exec("for i in 1 2 3 4 5 6 7 8; do sleep 4714 & done")
		}
		b.drop(t, s)
	}
	stay.check(want{command: "echo stayed; pgrep -c sleep", stdout: "stayed\n0\n", code: 1})
}
