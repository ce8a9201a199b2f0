package landlock

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A child of the test finds its task in this variable.
const taskVariable = "AGENTFENSE_TEST_LANDLOCK"

// task is what a child does: mount if asked to, confine itself, try the steps.
type task struct {
	Lower, Upper, Work, Merged, Bind string
	Ruleset                          Ruleset
	Steps                            []step
}

type step struct {
	Do, Path, To string
}

// outcome is what the child tells: an error of the set-up, or one for each step.
type outcome struct {
	Failed string
	Errnos []syscall.Errno
}

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(taskVariable); ok {
		if err := json.NewEncoder(os.Stdout).Encode(perform(text)); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func perform(text string) outcome {
	var task task
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return outcome{Failed: err.Error()}
	}
	if task.Merged != "" {
		if err := task.mount(); err != nil {
			return outcome{Failed: err.Error()}
		}
	}
	if err := Apply(task.Ruleset); err != nil {
		return outcome{Failed: err.Error()}
	}
	var out outcome
	for _, s := range task.Steps {
		var errno syscall.Errno
		if err := s.try(); err != nil && !errors.As(err, &errno) {
			return outcome{Failed: err.Error()}
		}
		out.Errnos = append(out.Errnos, errno)
	}
	return out
}

func (k task) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", k.Lower, k.Upper, k.Work)
	if err := unix.Mount("overlay", k.Merged, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return unix.Mount(k.Bind, k.Bind, "", unix.MS_BIND, "")
}

func (s step) try() error {
	switch s.Do {
	case "read":
		_, err := os.ReadFile(s.Path)
		return err
	case "write":
		f, err := os.OpenFile(s.Path, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return err
	case "create":
		f, err := os.OpenFile(s.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			f.Close()
		}
		return err
	case "truncate":
		return os.Truncate(s.Path, 0)
	case "mkdir":
		return os.Mkdir(s.Path, 0o755)
	case "remove":
		return unix.Unlink(s.Path)
	case "rename":
		return os.Rename(s.Path, s.To)
	case "fifo":
		return unix.Mkfifo(s.Path, 0o644)
	case "exec":
		return exec.Command(s.Path).Run()
	case "winsize":
		f, err := os.OpenFile(s.Path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		return err
	case "listen":
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err == nil {
			l.Close()
		}
		return err
	case "signal":
		return unix.Kill(os.Getppid(), 0)
	}
	return fmt.Errorf("cannot do %q", s.Do)
}

// child runs a task in a process of its own.
func child(t *testing.T, task task, attr *syscall.SysProcAttr) outcome {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v", err)
	}
	var out outcome
	if err := json.Unmarshal(printed, &out); err != nil {
		t.Fatalf("child wrote %q: %v", printed, err)
	}
	return out
}

// below moves the rules for places that a host need not have below dir, and
// makes what is missing there.
func below(t *testing.T, dir string, set Ruleset) Ruleset {
	t.Helper()
	rules := make([]Rule, 0, len(set.Rules))
	for _, r := range set.Rules {
		if r.Planned || r.Path == "/tmp" || strings.HasPrefix(r.Path, "/home") {
			r.Path = filepath.Join(dir, r.Path)
			if err := os.MkdirAll(filepath.Dir(r.Path), 0o755); err != nil {
				t.Fatal(err)
			}
			if r.Dir && !r.Planned {
				if err := os.MkdirAll(r.Path, 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		rules = append(rules, r)
	}
	set.Rules = rules
	return set
}

func haveABI(t *testing.T) int {
	t.Helper()
	abi, err := HaveABI()
	if err != nil {
		t.Fatal(err)
	}
	return abi
}
