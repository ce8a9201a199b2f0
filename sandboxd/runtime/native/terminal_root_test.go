//go:build root

package native

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// onTerminal starts a command with a terminal of 80 columns and 24 rows. It is
// not bash that runs it: bash finds itself a controlling terminal.
func onTerminal(t *testing.T, i runtime.Instance, command string) runtime.Process {
	t.Helper()
	p, err := i.Exec(t.Context(), runtime.Command{
		Argv:     []string{"sh", "-c", command},
		Env:      []string{"PATH=/usr/bin:/bin:/usr/sbin", "TERM=xterm"},
		Terminal: &runtime.Size{Cols: 80, Rows: 24},
	})
	if err != nil {
		t.Fatalf("Exec(%q) = %v", command, err)
	}
	_ = p.Terminal().SetReadDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { p.Terminal().Close() })
	return p
}

// until reads until a text has come.
func until(t *testing.T, p runtime.Process, text string) string {
	t.Helper()
	var all strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(all.String(), text) {
		n, err := p.Terminal().Read(buf)
		all.Write(buf[:n])
		if err != nil {
			t.Fatalf("%q does not come after %q: %v", text, all.String(), err)
		}
	}
	return all.String()
}

func all(t *testing.T, p runtime.Process) string {
	t.Helper()
	out, err := io.ReadAll(p.Terminal())
	if err != nil {
		t.Errorf("output %q ends with %v", out, err)
	}
	return string(out)
}

func TestTerminalIsTheCommandsOwn(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	for command, want := range map[string]string{
		"tty; stty size": "/dev/pts/0\r\n24 80\r\n",
		"test -t 0 && test -t 1 && test -t 2 && echo yes":                                       "yes\r\n",
		"echo to tty > /dev/tty":                                                                "to tty\r\n",
		"echo reopened > $(tty); stat -c '%U %G %a' $(tty)":                                     "reopened\r\nagent agent 620\r\n",
		"python3 -c 'import os; print(tuple(os.get_terminal_size()))'":                          "(80, 24)\r\n",
		"ps -o tty= -p $$; ps -o pid=,pgid=,sid=,tpgid= -p $$ | tr -s ' ' '\\n' | uniq | wc -l": "pts/0\r\n2\r\n",
		"ls /dev/pts": "0  ptmx\r\n",
		"exec <&- >&- 2>&-; sleep 0.2; exec > /dev/tty; echo again": "again\r\n",
		"python3 -c 'import pty; pty.spawn([\"tty\"])'":             "/dev/pts/1\r\n",
	} {
		p := onTerminal(t, i, command)
		if got := all(t, p); got != want {
			t.Errorf("%s: output is %q, want %q", command, got, want)
		}
		p.Terminal().Close()
	}
}

func TestTerminalPassesEveryByte(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	data := make([]byte, 10<<20)
	rand.Read(data)
	p := onTerminal(t, i, "stty raw -echo; echo ready; head -c 10485760")
	until(t, p, "ready\n")
	go func() { _, _ = p.Terminal().Write(data) }()
	if got := all(t, p); got != string(data) {
		t.Errorf("%d bytes came back, want the same %d", len(got), len(data))
	}
	if s, err := p.Wait(t.Context()); err != nil || s.Code != 0 {
		t.Errorf("Wait() = %+v, %v", s, err)
	}
}

func TestTerminalKeysAndSize(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	t.Run("Ctrl-C interrupts the foreground only", func(t *testing.T) {
		p := onTerminal(t, i, "trap : INT; echo ready; sleep 20; echo $?")
		until(t, p, "ready")
		time.Sleep(100 * time.Millisecond)
		p.Terminal().Write([]byte{3})
		if got := all(t, p); !strings.HasSuffix(got, "130\r\n") {
			t.Errorf("output is %q", got)
		}
	})
	t.Run("a signal of the keyboard goes where the key would", func(t *testing.T) {
		p := onTerminal(t, i, "set -m; trap 'echo shell' INT; bash -c 'trap \"echo job; exit\" INT; echo ready; while :; do sleep 0.05; done'; echo end")
		until(t, p, "ready")
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		if got := all(t, p); !strings.Contains(got, "job\r\n") || strings.Contains(got, "shell") {
			t.Errorf("output is %q", got)
		}
	})
	t.Run("a new size is told", func(t *testing.T) {
		p := onTerminal(t, i, "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done")
		until(t, p, "ready")
		if err := p.Terminal().Resize(runtime.Size{Cols: 132, Rows: 50}); err != nil {
			t.Error(err)
		}
		if got := all(t, p); got != "\r\n50 132\r\n" && got != "50 132\r\n" {
			t.Errorf("output is %q", got)
		}
	})
	t.Run("the end of input is an end of file", func(t *testing.T) {
		p := onTerminal(t, i, "cat; echo end")
		if err := p.Terminal().EndInput(); err != nil {
			t.Error(err)
		}
		if got := all(t, p); got != "end\r\n" {
			t.Errorf("output is %q", got)
		}
	})
	t.Run("hanging up ends the command", func(t *testing.T) {
		p := onTerminal(t, i, "echo ready; sleep 20")
		until(t, p, "ready")
		p.Terminal().Close()
		if s, err := p.Wait(t.Context()); err != nil || s.Signal != syscall.SIGHUP {
			t.Errorf("Wait() = %+v, %v", s, err)
		}
	})
}

// What nobody reads stops who writes, on both sides, and a stuck side does not
// keep the daemon: a deadline and Close end its waiting.
func TestTerminalNeverHoldsTheDaemon(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	p := onTerminal(t, i, "stty raw -echo; echo ready; exec sleep 1000")
	until(t, p, "ready\n")
	// A payload can change flags of what it holds; the daemon's side is not it.
	p2 := onTerminal(t, i, "python3 -c 'import fcntl,glob,os\nfor f in glob.glob(\"/proc/[0-9]*/fd/*\"):\n try: fcntl.fcntl(os.open(f, os.O_RDWR), fcntl.F_SETFL, 0)\n except OSError: pass'")
	all(t, p2)
	term := p.Terminal()
	_ = term.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := term.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write() to who does not read = %d, %v", n, err)
	}
	_ = term.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := term.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read() from who says nothing = %d, %v", n, err)
	}
	_ = term.SetReadDeadline(time.Time{})
	read := make(chan error, 1)
	go func() {
		_, err := term.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(50 * time.Millisecond)
	term.Close()
	select {
	case err := <-read:
		if !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.EOF) {
			t.Errorf("Read() = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Read() outlives Close()")
	}
}

func TestTerminalThatIsGone(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	p := onTerminal(t, i, "true")
	all(t, p)
	p.Terminal().Close()
	if err := p.Terminal().Resize(runtime.Size{Cols: 1, Rows: 1}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Resize() = %v", err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"true"}, Terminal: &runtime.Size{}})
	if !errors.Is(err, runtime.ErrEnded) {
		t.Errorf("Exec() = %v", err)
	}
}

func TestTerminalsAreBounded(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	p := onTerminal(t, i, "python3 -c 'import os,time\nheld=[]\ntry:\n while True: held.append(os.openpty())\nexcept OSError as e: print(len(held), e.errno, flush=True)\ntime.sleep(100)'")
	if got := until(t, p, "\n"); got != "255 28\r\n" {
		t.Errorf("the sandbox got %q", got)
	}
	_, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"true"}, Terminal: &runtime.Size{}})
	if !errors.Is(err, runtime.ErrNoTerminal) {
		t.Errorf("Exec() = %v", err)
	}
	if out, _ := run(t, newBox(t).start(policy.Plan{}, runtime.Limits{}), "python3 -c 'import os; print(len(os.openpty()))'", 0); out != "2\n" {
		t.Errorf("another sandbox got %q", out)
	}
}

// TIOCSTI would type into the terminal of whoever reads next.
func TestTerminalCannotBeTypedInto(t *testing.T) {
	i := newBox(t).start(policy.Plan{}, runtime.Limits{})
	for _, request := range []string{"0x5412", "0x100005412"} {
		p := onTerminal(t, i, "python3 -c 'import ctypes; c=ctypes.CDLL(None,use_errno=True); c.syscall(16,0,ctypes.c_ulong("+request+"),b\"x\"); print(ctypes.get_errno())'")
		if got := all(t, p); got != "1\r\n" {
			t.Errorf("TIOCSTI as %s gives errno %q", request, got)
		}
	}
}

func TestOnlyAPtmxIsTaken(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	null, err := os.OpenFile("/dev/null", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, f := range []*os.File{r, null} {
		if checkPtmx(f) == nil {
			t.Errorf("%s was taken", f.Name())
		}
	}
}
