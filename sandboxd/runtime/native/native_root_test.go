//go:build root

package native

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

const testUID = 1_900_000_001

// box is a runtime with a directory that stands for a view.
type box struct {
	*Runtime
	t    *testing.T
	dir  string
	view string
}

func newBox(t *testing.T) *box {
	t.Helper()
	dir := t.TempDir()
	b := &box{t: t, dir: dir, view: filepath.Join(dir, "view")}
	for _, d := range []string{"view", "roots"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	groups, err := cgroup.Open("test-" + rand.Text())
	if err != nil {
		t.Fatal(err)
	}
	b.Runtime = New(Config{Worker: workerProgram, Dir: filepath.Join(dir, "roots"), Cgroups: groups, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := groups.Close(); err != nil {
			t.Errorf("groups.Close() = %v", err)
		}
	})
	return b
}

// file puts a file into the view.
func (b *box) file(path, content string) {
	b.t.Helper()
	path = filepath.Join(b.view, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
	for p := path; p != b.dir; p = filepath.Dir(p) {
		if err := os.Lchown(p, testUID, testUID); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *box) start(plan policy.Plan, limits runtime.Limits) runtime.Instance {
	b.t.Helper()
	id := "sb_" + rand.Text()
	dir := filepath.Join(b.dir, id)
	for _, d := range []string{"", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	upper := filepath.Join(dir, "upper")
	if err := os.Chown(upper, testUID, testUID); err != nil {
		b.t.Fatal(err)
	}
	for _, c := range plan.Created {
		if err := os.Mkdir(upper+c, 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.Chown(upper+c, testUID, testUID); err != nil {
			b.t.Fatal(err)
		}
	}
	i, err := b.Start(b.t.Context(), runtime.Spec{ID: id, UID: testUID, Dir: dir, View: b.view, Plan: plan, Limits: limits})
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}

// run runs a shell command and returns its output, both streams together.
func run(t *testing.T, i runtime.Instance, command string, timeout time.Duration) (string, runtime.Status) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := i.Exec(t.Context(), runtime.Command{
		Argv:   []string{"bash", "-c", command},
		Env:    []string{"PATH=/usr/bin:/bin:/usr/sbin"},
		Stdout: w, Stderr: w, Timeout: timeout,
	})
	w.Close()
	if err != nil {
		t.Fatalf("Exec(%q) = %v", command, err)
	}
	s, err := p.Wait(t.Context())
	if err != nil {
		t.Fatalf("Wait(%q) = %v", command, err)
	}
	_ = r.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	out, _ := io.ReadAll(r)
	return string(out), s
}

func TestPlanDecidesWhatCanChange(t *testing.T) {
	b := newBox(t)
	for _, f := range []string{"a.txt", "src/b.go", "src/keep/c.go", "docs/d.md", "docs/e.txt"} {
		b.file(f, f)
	}
	if err := os.Symlink("/etc/passwd", b.view+"/src/link"); err != nil {
		t.Fatal(err)
	}
	i := b.start(policy.Plan{
		Writable:  []string{"/output", "/src"},
		Created:   []string{"/output"},
		Protected: []string{"/src/b.go", "/src/keep", "/src/link"},
		Files:     []string{"/docs/d.md"},
	}, runtime.Limits{})
	for command, want := range map[string]string{
		"cat a.txt":      "a.txt",
		"echo x > a.txt": "Read-only file system",
		"rm a.txt":       "Read-only file system",
		"echo new > src/new.go && cat src/new.go":       "new",
		"echo x > src/b.go":                             "Read-only file system",
		"rm -f src/b.go":                                "Device or resource busy",
		"mv src/b.go src/z.go":                          "Device or resource busy",
		"mv src/keep src/keep2":                         "Device or resource busy",
		"echo x > src/keep/new":                         "Read-only file system",
		"rm -f src/link":                                "Device or resource busy",
		"echo x > docs/d.md && cat docs/d.md":           "x",
		"echo x > docs/e.txt":                           "Read-only file system",
		"echo x > docs/new":                             "Read-only file system",
		"echo r > /output/r && cat /workspace/output/r": "r",
		"mkdir sub":                                     "Read-only file system",
		"chmod 777 a.txt":                               "Read-only file system",
		"echo t > /tmp/t && cat /tmp/t":                 "t",
		"touch ~/x /dev/shm/y && echo ok":               "ok",
		"touch /x":                                      "Read-only file system",
		"touch /usr/x":                                  "Read-only file system",
	} {
		if out, _ := run(t, i, command, 0); !strings.Contains(out, want) {
			t.Errorf("run(%q) = %q, want %q in it", command, out, want)
		}
	}
}

func TestSandboxSeesOnlyItself(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{Writable: []string{"/"}}, runtime.Limits{})
	for command, want := range map[string]string{
		"id -un; id -u; id -G": "agent\n1900000001\n1900000001\n",
		"hostname":             "sandbox\n",
		"cat /proc/self/cgroup | sed 's/.*://' | sort -u": "/\n",
		"ls /":    "bin\ndev\netc\nhome\nlib\nlib64\nopt\nproc\nrun\nsbin\ntmp\nusr\nvar\nworkspace\n",
		"ls /dev": "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n",
		"grep -E 'Cap|NoNewPrivs' /proc/self/status | cut -f 2 | sort | uniq -c | sed 's/^ *//'": "5 0000000000000000\n1 1\n",
		"ls /proc > /tmp/l; grep -c '^[0-9]' /tmp/l":                                             "3\n",
		"grep Seccomp: /proc/self/status":                                                        "Seccomp:\t2\n",
		"unshare -n true 2>&1; unshare -U true 2>&1":                                             "unshare: unshare failed: Operation not permitted\nunshare: unshare failed: Operation not permitted\n",
		"cat /proc/net/dev | grep -c :":                                                          "1\n",
		"grep -c -e '" + b.dir + "' /proc/self/mountinfo; true":                                  "0\n",
		"readlink /proc/1/exe /proc/1/cwd; ls /proc/1/fd 2>&1 | grep -c denied":                  "1\n",
		"tr '\\0' ' ' < /proc/1/cmdline":                                                         "init ",
		"cat /proc/self/loginuid; (echo 0 > /proc/self/loginuid) 2>&1 | grep -c permitted":       "19000000011\n",
		"env | sort":                            "PATH=/usr/bin:/bin:/usr/sbin\nPWD=/workspace\nSHLVL=1\n_=/usr/bin/env\n",
		"ls -l /proc/self/fd | grep -c -- '->'": "4\n",
		"python3 -c 'import socket,threading as t\ns=socket.create_server((\"127.0.0.1\",0))\nt.Thread(target=lambda: s.accept()[0].send(b\"hi\")).start()\nprint(socket.create_connection(s.getsockname()).recv(2))'": "b'hi'\n",
	} {
		if out, _ := run(t, i, command, 0); out != want {
			t.Errorf("run(%q) = %q, want %q", command, out, want)
		}
	}
}

func TestTimeoutEndsTheWholeTree(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	// One command that outlives the others holds PID 1, so that the second
	// round goes through runners.
	for _, round := range []string{"by PID 1", "by a runner"} {
		_, s := run(t, i, "(setsid bash -c 'setsid sleep 4242 & sleep 4242 & sleep 4242' &) ; sleep 4242 & sleep 4242", 300*time.Millisecond)
		if !s.TimedOut || s.Signal != syscall.SIGKILL {
			t.Errorf("%s: status = %+v, want a timeout", round, s)
		}
		awaitNone(t, i, "-f 'sleep 424[2]'", 20*time.Millisecond)
		if out, _ := run(t, i, "setsid sleep 1717 > /dev/null 2>&1 & disown", 0); out != "" {
			t.Errorf("background command said %q", out)
		}
	}
	if out, _ := run(t, i, "pgrep -c -f 'sleep 171[7]'", 0); out != "2\n" {
		t.Errorf("pgrep = %q, want both background commands of ended execs alive", out)
	}
}

func TestCommandsRunAtOnce(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			want := strings.Repeat("x", n+1) + "\n"
			if out, s := run(t, i, "sleep 0.1; echo "+want, 0); out != want || s.Code != 0 {
				t.Errorf("run() = %q, %+v", out, s)
			}
		})
	}
	wg.Wait()
	awaitNone(t, i, "runner", 3*time.Second) // what is asked sooner keeps one busy
}

// awaitNone waits until the sandbox has no process that pgrep finds.
func awaitNone(t *testing.T, i runtime.Instance, which string, every time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		time.Sleep(every)
		out, _ := run(t, i, "pgrep -c "+which, 0)
		if out == "0\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%q processes are left that pgrep finds by %s", out, which)
			return
		}
	}
}

func TestKillSparesCommandsThatStartMeanwhile(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	for range 30 {
		victim, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"/bin/bash", "-c", "for i in 1 2 3 4 5 6 7 8; do setsid sleep 60 & done; sleep 60"}})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if out, s := run(t, i, "sleep 0.02; echo alive", 0); out != "alive\n" {
					t.Errorf("a command beside a killed one: %q, %+v", out, s)
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		if err := victim.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if _, err := victim.Wait(t.Context()); err != nil {
			t.Fatalf("Wait() = %v, %v", err, i.Reason())
		}
	}
}

func TestStartFailsWithAReason(t *testing.T) {
	b := newBox(t)
	i := b.start(policy.Plan{}, runtime.Limits{})
	for name, tt := range map[string]struct {
		command runtime.Command
		op      string
		errno   syscall.Errno
	}{
		"no such program":    {runtime.Command{Argv: []string{"nope"}}, "exec", syscall.ENOENT},
		"not executable":     {runtime.Command{Argv: []string{"/etc/passwd"}}, "exec", syscall.EACCES},
		"a directory":        {runtime.Command{Argv: []string{"/usr"}}, "exec", syscall.EACCES},
		"no such directory":  {runtime.Command{Argv: []string{"/bin/true"}, Dir: "/nope"}, "chdir", syscall.ENOENT},
		"no arguments":       {runtime.Command{}, "exec", syscall.EINVAL},
		"a huge environment": {runtime.Command{Argv: []string{"/bin/true"}, Env: []string{"A=" + strings.Repeat("x", 1<<20)}}, "exec", syscall.E2BIG},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := i.Exec(t.Context(), tt.command)
			var e *runtime.ExecError
			if !errors.As(err, &e) || e.Op != tt.op || e.Errno != tt.errno {
				t.Errorf("Exec() = %v, want %s: %v", err, tt.op, tt.errno)
			}
		})
	}
}

func TestNoSignalFromInsideEndsTheWorker(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{}, runtime.Limits{})
	out, _ := run(t, i, "for s in $(seq 64); do kill -$s 1; done; sleep 0.1; echo alive", 5*time.Second)
	if !strings.HasSuffix(out, "alive\n") {
		t.Errorf("the command said %q", out)
	}
	if out, _ := run(t, i, "echo alive", 5*time.Second); out != "alive\n" {
		t.Errorf("the next command said %q", out)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	b := newBox(t)
	b.file("a", "a")
	i := b.start(policy.Plan{Writable: []string{"/"}}, runtime.Limits{})
	p, err := i.Exec(t.Context(), runtime.Command{Argv: []string{"/bin/sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(ctx); !errors.Is(err, runtime.ErrEnded) {
		t.Errorf("Wait() = %v, want ErrEnded", err)
	}
	if _, err := i.Exec(ctx, runtime.Command{Argv: []string{"/bin/true"}}); !errors.Is(err, runtime.ErrEnded) {
		t.Errorf("Exec() after Close = %v, want ErrEnded", err)
	}
	if i.Reason() != nil {
		t.Errorf("Reason() = %v after Close", i.Reason())
	}
}
