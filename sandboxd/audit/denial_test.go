package audit

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/ebpf"
	"github.com/agentfense/agentfense/policy"
)

func compiled(t *testing.T, preset string, more ...policy.Rule) *policy.Policy {
	t.Helper()
	rules, err := policy.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	pol, err := policy.Compile(append(rules, more...))
	if err != nil {
		t.Fatal(err)
	}
	return pol
}

func TestJudge(t *testing.T) {
	const create = syscall.O_WRONLY | syscall.O_CREAT
	inSrc := func(op ebpf.Op, name string, errno syscall.Errno, flags uint64) ebpf.Event {
		return ebpf.Event{Op: op, Base: "/workspace/src", Path: name, Errno: errno, Flags: flags}
	}
	for name, tt := range map[string]struct {
		preset string
		event  ebpf.Event
		// want is the operation, the path and the hint; empty: no denial.
		want, path, hint string
	}{
		"a hidden file is opened": {
			"agent-safe", inSrc(ebpf.Open, ".env", unix.ENOENT, 0),
			"open", "/src/.env", "a rule /src/.env=read@101 allows it",
		},
		"by an absolute path": {
			"agent-safe",
			ebpf.Event{Op: ebpf.Stat, Path: "/workspace/secrets/x", Errno: unix.ENOENT},
			"stat", "/secrets/x", "a rule /secrets/x=read@101 allows it",
		},
		"by way of a parent": {
			"agent-safe", inSrc(ebpf.Open, "../src/./a.key", unix.ENOENT, 0),
			"open", "/src/a.key", "a rule /src/a.key=read@101 allows it",
		},
		"a name with pattern characters": {
			"agent-safe", inSrc(ebpf.Open, "[a]*.key", unix.ENOENT, 0),
			"open", "/src/[a]*.key", `a rule /src/\[a\]\*.key=read@101 allows it`,
		},
		"a file that never was":               {"agent-safe", inSrc(ebpf.Open, "no.txt", unix.ENOENT, 0), "", "", ""},
		"outside the codebase":                {"agent-safe", ebpf.Event{Op: ebpf.Open, Path: "/etc/.env", Errno: unix.ENOENT}, "", "", ""},
		"a name that only begins like it":     {"agent-safe", ebpf.Event{Op: ebpf.Open, Path: "/workspaces/.env", Errno: unix.ENOENT}, "", "", ""},
		"out by way of parents":               {"agent-safe", inSrc(ebpf.Open, "../../etc/.env", unix.ENOENT, 0), "", "", ""},
		"mode bits, which are not the policy": {"agent-safe", inSrc(ebpf.Open, "a", unix.EACCES, 0), "", "", ""},
		"view: the hint names the preset": {
			"view-only", inSrc(ebpf.Open, "a", unix.EACCES, 0),
			"open", "/src/a", "preset read-only allows to read it",
		},
		"view: writing": {
			"view-only", inSrc(ebpf.Open, "a", unix.EROFS, create),
			"create", "/src/a", "preset development allows to change it",
		},
		"view: writing where agents may": {
			"view-only",
			ebpf.Event{Op: ebpf.Create, Path: "/workspace/output/a", Errno: unix.EROFS},
			"create", "/output/a", "preset agent-safe allows to change it",
		},
		"view: removing a secret": {
			"view-only", inSrc(ebpf.Remove, ".env", unix.EROFS, 0),
			"remove", "/src/.env", "preset full-access allows to change it",
		},
		"view: executing": {
			"view-only",
			ebpf.Event{Op: ebpf.Execute, Base: "/workspace", Path: "run.sh", Errno: unix.EACCES},
			"execute", "/run.sh", "preset read-only allows to read it",
		},
		"a new file below read": {
			"agent-safe", inSrc(ebpf.Open, "new", unix.EROFS, create),
			"create", "/src/new", "a rule /src/new=write@1 allows it if the file exists, /src/**=write@1 also if not",
		},
		"one that must be new": {
			"agent-safe", inSrc(ebpf.Open, "new", unix.EROFS, create|syscall.O_EXCL),
			"create", "/src/new", "a rule /src/**=write@1 allows it",
		},
		"truncating": {
			"agent-safe", inSrc(ebpf.Truncate, "a", unix.EROFS, 0),
			"truncate", "/src/a", "a rule /src/a=write@1 allows it",
		},
		"an old file below read": {
			"agent-safe", inSrc(ebpf.Open, "a", unix.EACCES, syscall.O_RDWR),
			"write", "/src/a", "a rule /src/a=write@1 allows it",
		},
		"a removal at the root": {
			"agent-safe",
			ebpf.Event{Op: ebpf.Remove, Base: "/workspace", Path: "a", Errno: unix.EROFS},
			"remove", "/a", "a rule /**=write@1 allows it",
		},
		"a write that is allowed and fails otherwise": {
			"agent-safe", ebpf.Event{Op: ebpf.Open, Path: "/output/x", Errno: unix.EACCES, Flags: create}, "", "", "",
		},
		"a change of the top of the codebase": {
			"agent-safe",
			ebpf.Event{Op: ebpf.Attributes, Path: "/workspace", Errno: unix.EROFS},
			"change attributes of", "/", "a rule /**=write@0 allows it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pol := compiled(t, tt.preset)
			d, denied := judge(pol, tt.event)
			if denied != (tt.want != "") || d.Operation != tt.want && denied {
				t.Fatalf("judge(%+v) = %+v, %v, want %q", tt.event, d, denied, tt.want)
			}
			if !denied {
				return
			}
			if got := hint(pol.Rules(), d, tt.event); d.Path != tt.path || got != tt.hint {
				t.Errorf("judge(%+v) is about %q, with the hint %q; want %q and %q", tt.event, d.Path, got, tt.path, tt.hint)
			}
			r := allowing(pol.Rules(), d, tt.event)
			if got := compiled(t, tt.preset, r).Decide(d.Path).Level; got < r.Level {
				t.Errorf("with the rule %v, %s is %v", r, d.Path, got)
			}
			fix := remedy(pol.Rules(), d, tt.event)
			after := compiled(t, tt.preset, fix)
			if got := after.Decide(d.Path).Level; got < r.Level {
				t.Errorf("with the remedy %v, %s is %v", fix, d.Path, got)
			}
			if beside := d.Path + ".new"; mayCreate(tt.event) && after.Decide(beside).Level != policy.Write {
				t.Errorf("with the remedy %v, %s is no place for a new file", fix, beside)
			}
		})
	}
}
