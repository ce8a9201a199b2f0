//go:build root

package ebpf

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func watcher(t *testing.T) *Watcher {
	t.Helper()
	w, err := OpenWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// box is a shell that does what it is told in a PID namespace of its own.
type box struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.Reader
	tape *tape
	*Sandbox
}

type tape struct {
	mu     sync.Mutex
	events []Event
}

func (p *tape) add(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

func newBox(t *testing.T, w *Watcher) *box {
	t.Helper()
	b := &box{t: t, dir: filepath.Join(t.TempDir(), "workspace"), tape: &tape{}}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// PID 1 waits for what a second shell does, as a worker would.
	b.cmd = exec.Command("sh", "-c", "sh; exit 0")
	b.cmd.Dir = b.dir
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if b.out, err = b.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if b.Sandbox, err = w.Track(b.cmd.Process.Pid, b.tape.add); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.in.Close()
		_ = b.cmd.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// do runs a command and returns what was told of it, and how much was dropped.
func (b *box) do(command string) (lines []string, dropped uint64) {
	b.t.Helper()
	if _, err := fmt.Fprintf(b.in, "{ %s\n} >/dev/null 2>&1; echo\n", command); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.ReadFull(b.out, make([]byte, 1)); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Second)
	defer cancel()
	dropped, err := b.Sync(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	b.tape.mu.Lock()
	defer b.tape.mu.Unlock()
	for _, e := range b.tape.events {
		lines = append(lines, fmt.Sprintf("%v %s|%s %s", e.Op, strings.TrimPrefix(e.Base, b.dir), e.Path, e.Errno))
	}
	b.tape.events = nil
	return lines, dropped
}

func TestWatcherTellsWhatFailed(t *testing.T) {
	w := watcher(t)
	b := newBox(t, w)
	if err := b.Allow(1000); err != nil {
		t.Fatal(err)
	}
	b.do("mkdir -p a/b; echo x > a/file; ln -s nowhere link")
	long := strings.Repeat("n", 200)
	for name, tt := range map[string]struct {
		command string
		want    string
	}{
		"a file that is not there, by a relative path": {"cat .env", "open |.env no such file or directory"},
		"by an absolute path":                          {"cat /workspace/x", "open |/workspace/x no such file or directory"},
		"from a directory below":                       {"cd a/b && cat ../c; cd ../..", "open /a/b|../c no such file or directory"},
		"a look":                                       {"stat no", "stat |no no such file or directory"},
		"a directory that cannot be made":              {"mkdir no/no", "create |no/no no such file or directory"},
		"a removal":                                    {"rm no", "remove |no no such file or directory"},
		"a rename, both names":                         {"mv a/file no/no", "rename |no/no no such file or directory"},
		"a program":                                    {"./prog", "execute |./prog no such file or directory"},
		"a path as long as they get":                   {"cat " + strings.Repeat(long+"/", 19) + "x", "open |" + strings.Repeat(long+"/", 19) + "x no such file or directory"},
		"another path from the root is nobody's":       {"cat /etc/nothing", ""},
		"what works is not told":                       {"cat a/file", ""},
		"a descriptor of a directory": {
			`python3 -c 'import os; d = os.open("a", os.O_RDONLY); os.path.exists("/"); os.stat("q", dir_fd=d)'`,
			"stat /a|q no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, dropped := b.do(tt.command)
			if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) || dropped != 0 {
				t.Errorf("%s told %q, dropped %d, want %q", tt.command, got, dropped, tt.want)
			}
		})
	}
}

func TestWatcherTellsOnlyOfItsSandbox(t *testing.T) {
	w := watcher(t)
	one, other := newBox(t, w), newBox(t, w)
	for _, b := range []*box{one, other} {
		if err := b.Allow(100); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = os.Stat("nothing here either") // the host's own
	if got, _ := one.do("cat one"); len(got) != 1 {
		t.Errorf("one sandbox told %q", got)
	}
	if got, _ := other.do("true"); len(got) != 0 {
		t.Errorf("the other told %q", got)
	}
	// A namespace below the sandbox's is still its own.
	if got, _ := other.do("unshare --pid --fork sh -c 'cat nested'"); !slices.Contains(got, "open |nested no such file or directory") {
		t.Errorf("from a nested namespace it told %q", got)
	}
}

func TestWatcherIsBounded(t *testing.T) {
	b := newBox(t, watcher(t))
	if got, dropped := b.do("cat before"); len(got) != 0 || dropped == 0 {
		t.Errorf("told %q, dropped %d before it was allowed to", got, dropped)
	}
	if err := b.Allow(10); err != nil {
		t.Fatal(err)
	}
	got, dropped := b.do("for i in $(seq 1000); do [ -e no$i ]; done")
	if len(got) != 10 || dropped < 990 {
		t.Errorf("told %d events, dropped %d, want 10 and the rest", len(got), dropped)
	}
}
