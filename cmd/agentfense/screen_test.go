package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestDetachKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		in    []string
		out   string
		leave bool
	}{
		"nothing special":         {[]string{"abc"}, "abc", false},
		"the keys":                {[]string{"ab\x10\x11c"}, "ab", true},
		"the keys apart":          {[]string{"ab\x10", "\x11"}, "ab", true},
		"ctrl-p and another":      {[]string{"\x10", "x\x11"}, "\x10x\x11", false},
		"ctrl-p twice, then both": {[]string{"\x10\x10\x11"}, "\x10", true},
		"ctrl-q alone":            {[]string{"\x11"}, "\x11", false},
	} {
		t.Run(name, func(t *testing.T) {
			k := detachKeys{on: true}
			var all string
			left := false
			for _, in := range tt.in {
				out, leave := k.filter([]byte(in))
				all += string(out)
				left = left || leave
			}
			if all != tt.out || left != tt.leave {
				t.Errorf("filter(%q) = %q, %v", tt.in, all, left)
			}
		})
	}
	off := detachKeys{}
	if out, leave := off.filter([]byte("\x10\x11")); string(out) != "\x10\x11" || leave {
		t.Errorf("off, the keys give %q, %v", out, leave)
	}
}

// person is somebody who runs agentfense at a terminal of the host.
type person struct {
	*testing.T
	far, near *os.File
	cmd       *exec.Cmd
	before    unix.Termios
	seen      strings.Builder
}

// sit starts agentfense at a terminal of 100 columns and 30 rows.
func sit(t *testing.T, endpoint string, args ...string) *person {
	t.Helper()
	far, near, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{T: t, far: far, near: near}
	t.Cleanup(func() { far.Close(); near.Close() })
	if err := setSize(far, 100, 30); err != nil {
		t.Fatal(err)
	}
	p.before = p.mode()
	_ = far.SetReadDeadline(time.Now().Add(30 * time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p.cmd = exec.CommandContext(ctx, os.Args[0], args...)
	p.cmd.Args[0] = "agentfense"
	p.cmd.Env = append(os.Environ(), endpointEnv+"="+endpoint, "TERM=vt220")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = near, near, near
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *person) mode() unix.Termios {
	p.Helper()
	mode, err := unix.IoctlGetTermios(int(p.near.Fd()), unix.TCGETS)
	if err != nil {
		p.Fatal(err)
	}
	return *mode
}

func (p *person) keys(text string) {
	p.Helper()
	if _, err := p.far.Write([]byte(text)); err != nil {
		p.Fatal(err)
	}
}

// await reads until a text has come, and forgets what came up to there.
func (p *person) await(text string) {
	p.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(p.seen.String(), text) {
		n, err := p.far.Read(buf)
		p.seen.Write(buf[:n])
		if err != nil {
			p.Fatalf("%q does not come after %q: %v", text, p.seen.String(), err)
		}
	}
	_, rest, _ := strings.Cut(p.seen.String(), text)
	p.seen.Reset()
	p.seen.WriteString(rest)
}

// ends checks the exit code, and that the terminal is as it was.
func (p *person) ends(code int) {
	p.Helper()
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.Errorf("exit code %d, want %d", got, code)
	}
	if after := p.mode(); after != p.before {
		p.Errorf("the terminal was left in mode %+v", after)
	}
}

// standing starts a fake daemon with one sandbox.
func standing(t *testing.T) (f *fakeDaemon, endpoint string) {
	t.Helper()
	heedHangUps()
	dir, err := os.MkdirTemp("", "fake")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	if f, err = startFake(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sandboxes["sb_1"] = &sandboxv1.Sandbox{Id: "sb_1"}
	return f, "unix://" + socket
}

func TestExecAtATerminal(t *testing.T) {
	_, endpoint := standing(t)
	t.Run("keys, size and its changes", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-it", "sb_1", "--", "bash", "--norc", "-c", "trap 'stty size' WINCH; trap : INT; stty size; echo $TERM; read -r x; echo got $x; read -r x || read -r x; sleep 20; echo $?; exit 6")
		p.await("30 100\r\nvt220\r\n")
		if p.mode() == p.before {
			t.Error("the terminal is not raw")
		}
		p.keys("one\r")
		p.await("got one\r\n")
		if err := setSize(p.far, 70, 20); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		p.keys("two\r") // bash traps signals when it has read
		p.await("20 70\r\n")
		time.Sleep(300 * time.Millisecond)
		p.keys("\x03")
		p.await("130\r\n")
		p.ends(6)
	})
	t.Run("an error leaves the terminal as it was", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-it", "sb_1", "--", "no-such-program-here")
		p.await("COMMAND_NOT_FOUND")
		p.ends(127)
	})
	t.Run("so does a signal", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-it", "sb_1", "--", "sh", "-c", "echo ready; exec sleep 60")
		p.await("ready")
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		p.ends(143)
	})
	t.Run("and a hang-up, which ends the command", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-it", "sb_1", "--", "sh", "-c", "trap '' HUP; echo ready; exec sleep 60")
		p.await("ready")
		_ = p.cmd.Process.Signal(syscall.SIGHUP)
		p.ends(129)
	})
	t.Run("without -t nothing changes", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-i", "sb_1", "--", "sh", "-c", "test -t 0 || echo none")
		p.await("none")
		p.ends(0)
	})
	t.Run("with -t alone the input is empty", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-t", "sb_1", "--", "sh", "-c", "stty size; cat; echo end")
		p.await("30 100")
		p.await("end")
		p.ends(0)
	})
	t.Run("shell is a shell", func(t *testing.T) {
		p := sit(t, endpoint, "exec", "-it", "--env", "PS1=ready> ", "sb_1", "--", "sh", "-c", shellScript, "sh")
		p.await("ready> ")
		p.keys("exit 3\r")
		p.ends(3)
	})
}

func TestAttachAtATerminal(t *testing.T) {
	f, endpoint := standing(t)
	f.mu.Lock()
	f.processes["proc_1"] = &fakeProcess{&sandboxv1.Process{Id: "proc_1", Pty: true, OpenStdin: true}}
	f.processes["proc_2"] = &fakeProcess{&sandboxv1.Process{Id: "proc_2", OpenStdin: true}}
	f.mu.Unlock()
	t.Run("keys, size, and the keys that leave", func(t *testing.T) {
		p := sit(t, endpoint, "attach", "proc_1")
		p.await("size 100x30")
		p.keys("x\x03")
		p.await(`got "x\x03"`)
		p.keys("\x10")
		p.keys("\x11")
		p.await("left proc_1")
		p.await("agentfense attach proc_1")
		p.ends(0)
	})
	t.Run("another client", func(t *testing.T) {
		p := sit(t, endpoint, "attach", "proc_1")
		p.await("attached")
		p.keys("take over")
		p.await("TAKEN_OVER")
		p.await("agentfense attach proc_1")
		p.ends(125)
	})
	t.Run("a second interrupt leaves what has no terminal", func(t *testing.T) {
		p := sit(t, endpoint, "attach", "proc_2")
		p.await("attached")
		p.keys("\x03")
		p.await("signal 2")
		p.keys("\x03")
		p.await("left proc_2")
		p.ends(130)
	})
	t.Run("the end of input", func(t *testing.T) {
		p := sit(t, endpoint, "attach", "proc_2")
		p.await("attached")
		p.keys("\x04")
		p.ends(5)
	})
}
