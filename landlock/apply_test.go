package landlock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestApplyConfines(t *testing.T) {
	abi := haveABI(t)
	if abi == 0 {
		t.Skip("the kernel has no Landlock")
	}
	dir := t.TempDir()
	for _, d := range []string{"w/d", "ro", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, Workspace, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"w/f", "ro/f", "ro/single", "outside/f"} {
		if err := os.WriteFile(filepath.Join(dir, Workspace, f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// An earlier run put these where the plan has a directory and a file.
	for _, link := range []string{"gone", "goner"} {
		if err := os.Symlink("outside", filepath.Join(dir, Workspace, link)); err != nil {
			t.Fatal(err)
		}
	}
	set, _ := Compile(Request{
		Writable: []string{"/w", "/gone", "/ro/f"},
		Files:    []string{"/ro/single", "/goner", "/goner/f"},
	}, abi)
	in := func(p string) string { return filepath.Join(dir, Workspace, p) }

	const ok = syscall.Errno(0)
	since := func(first int, errno syscall.Errno) syscall.Errno {
		if abi < first {
			return ok
		}
		return errno
	}
	for name, tt := range map[string]struct {
		step
		want syscall.Errno
	}{
		"reading anything":                       {step{Do: "read", Path: in("outside/f")}, ok},
		"executing":                              {step{Do: "exec", Path: "/bin/true"}, ok},
		"writing where it is planned":            {step{Do: "write", Path: in("w/f")}, ok},
		"creating where it is planned":           {step{Do: "create", Path: in("w/new")}, ok},
		"a FIFO where it is planned":             {step{Do: "fifo", Path: in("w/fifo")}, ok},
		"renaming between directories there":     {step{Do: "rename", Path: in("w/f"), To: in("w/d/g")}, since(2, ok)},
		"writing a single file":                  {step{Do: "write", Path: in("ro/single")}, ok},
		"removing a single file":                 {step{Do: "remove", Path: in("ro/single")}, syscall.EACCES},
		"writing elsewhere":                      {step{Do: "write", Path: in("ro/f")}, syscall.EACCES},
		"creating elsewhere":                     {step{Do: "create", Path: in("ro/new")}, syscall.EACCES},
		"making directories elsewhere":           {step{Do: "mkdir", Path: in("ro/new")}, syscall.EACCES},
		"truncating elsewhere":                   {step{Do: "truncate", Path: in("ro/f")}, since(3, syscall.EACCES)},
		"renaming out of the planned place":      {step{Do: "rename", Path: in("w/f"), To: in("ro/g")}, syscall.EACCES},
		"what a link stands for in the plan":     {step{Do: "write", Path: in("outside/f")}, syscall.EACCES},
		"writing through a link in the plan":     {step{Do: "write", Path: in("gone/f")}, syscall.EACCES},
		"writing to /dev/null":                   {step{Do: "write", Path: "/dev/null"}, ok},
		"asking a device for a window size":      {step{Do: "winsize", Path: "/dev/null"}, since(5, syscall.EACCES)},
		"asking the terminal multiplexer for it": {step{Do: "winsize", Path: "/dev/pts/ptmx"}, ok},
		"writing to proc":                        {step{Do: "write", Path: "/proc/self/comm"}, ok},
		"listening on the loopback":              {step{Do: "listen"}, ok},
		"a signal to a process outside":          {step{Do: "signal"}, since(6, syscall.EPERM)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(in("w/f"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			out := child(t, task{Ruleset: below(t, dir, set), Steps: []step{tt.step}}, nil)
			if out.Failed != "" {
				t.Fatalf("child failed: %s", out.Failed)
			}
			got := out.Errnos[0]
			if got == syscall.ENOTTY || abi == 1 && got == syscall.EXDEV {
				got = ok
			}
			if got != tt.want {
				t.Errorf("%+v = %v, want %v", tt.step, got, tt.want)
			}
		})
	}
}

func TestApplyRestrictsPorts(t *testing.T) {
	if abi := haveABI(t); abi < abiTCP {
		t.Skipf("Landlock ABI %d has no ports", abi)
	}
	set, _ := Compile(Request{TCP: &TCP{}}, haveABI(t))
	out := child(t, task{Ruleset: below(t, t.TempDir(), set), Steps: []step{{Do: "listen"}}}, nil)
	// MPTCP, Go's default, passes rules on TCP.
	if out.Failed != "" || out.Errnos[0] != syscall.EACCES && out.Errnos[0] != 0 {
		t.Errorf("listening with no port allowed: %+v", out)
	}
}

func TestApplyNeverSucceedsWithoutEffect(t *testing.T) {
	if err := Apply(Ruleset{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Apply of nothing = %v, want ErrUnsupported", err)
	}
	set, _ := Compile(Request{}, 0)
	if err := Apply(set); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Apply for ABI 0 = %v, want ErrUnsupported", err)
	}
	if haveABI(t) == 0 {
		t.Skip("the kernel has no Landlock")
	}
	dir := t.TempDir()
	missing := Ruleset{ABI: 1, FS: handled(1), Rules: []Rule{{Path: filepath.Join(dir, "no"), Access: WriteFile}}}
	var at *RuleError
	if err := Apply(missing); !errors.As(err, &at) || !errors.Is(err, syscall.ENOENT) || at.Path != missing.Rules[0].Path {
		t.Errorf("Apply with a missing path = %v, want a RuleError with ENOENT", err)
	}
	missing.Rules[0].Planned = true
	if err := Apply(missing); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Apply with a missing planned path = %v, want ENOENT", err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	link := Ruleset{ABI: 1, FS: handled(1), Rules: []Rule{{Path: filepath.Join(dir, "link"), Access: WriteFile, Dir: true}}}
	if err := Apply(link); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("Apply with a link for a fixed place = %v, want ELOOP", err)
	}
	if abi := haveABI(t); abi < NewestABI && handled(abi) != handled(NewestABI) {
		set, _ := Compile(Request{}, NewestABI)
		out := child(t, task{Ruleset: below(t, dir, set)}, nil)
		if !strings.Contains(out.Failed, "ABI") {
			t.Errorf("Apply for a newer ABI than the kernel's: %+v", out)
		}
	}
}
