//go:build root

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRealTerminals runs the program at a terminal against a real daemon.
func TestRealTerminals(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("../../scripts/build", bin).CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	endpoint, stop, err := realDaemon(filepath.Join(bin, daemonName), dir)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	agentfense := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "agentfense"), args...)
		cmd.Env = append(os.Environ(), endpointEnv+"="+endpoint)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	id := agentfense("run", "--keep", "--dir", "../../examples/shop", "--", "true")

	t.Run("shell", func(t *testing.T) {
		p := sit(t, endpoint, "shell", id)
		p.await("$ ")
		p.keys("tty; stty size; echo $TERM $-\r")
		p.await("/dev/pts/0\r\n30 100\r\nvt220 ")
		if err := setSize(p.far, 70, 20); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		p.keys("stty size\r")
		p.await("20 70\r\n")
		p.keys("sleep 100\r")
		time.Sleep(500 * time.Millisecond)
		p.keys("\x03")
		p.await("^C")
		p.keys("echo $?; exit 9\r")
		p.await("130\r\n")
		p.ends(9)
	})
	t.Run("run -it", func(t *testing.T) {
		p := sit(t, endpoint, "run", "-it", "--dir", "../../examples/shop", "--", "sh", "-c", "stty size; read -r x; echo got $x")
		p.await("30 100")
		p.keys("it\r")
		p.await("got it")
		p.ends(0)
	})
	t.Run("a command that was refused something", func(t *testing.T) {
		p := sit(t, endpoint, "run", "--dir", "../../examples/shop", "--", "cat", "README.md")
		p.await("the policy (preset view-only) refused operations; -v says which")
		p.ends(1)
	})
	t.Run("a terminal in the background", func(t *testing.T) {
		process := agentfense("spawn", "-it", id, "--", "sh", "-c", "while read -r x; do stty size; echo got $x; done")
		for _, word := range []string{"one", "two"} {
			p := sit(t, endpoint, "attach", process)
			time.Sleep(300 * time.Millisecond)
			p.keys(word + "\r")
			p.await("30 100\r\ngot " + word)
			p.keys("\x10\x11")
			p.await("left " + process)
			p.ends(0)
		}
		p := sit(t, endpoint, "attach", process)
		p.keys("three\r")
		p.await("got three")
		other := sit(t, endpoint, "attach", process)
		p.await("TAKEN_OVER")
		p.ends(125)
		other.keys("four\r")
		other.await("got four")
		other.keys("\x04")
		other.ends(0)
	})
	t.Run("a client that is killed", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-it", id, "--", "sh", "-c", "trap '' HUP INT; echo ready; while :; do sleep 0.1; done")
		p.await("ready")
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
		for range 100 {
			if agentfense("exec", id, "--", "sh", "-c", "pgrep -fc '[t]rap' || true") == "0" {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Error("the command goes on")
	})
}
