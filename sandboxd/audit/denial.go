package audit

import (
	"fmt"
	"math"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/ebpf"
	"github.com/agentfense/agentfense/policy"
)

// judge says whether an event is a refusal by the policy, all but the hint.
func judge(pol *policy.Policy, e ebpf.Event) (policy.Denial, bool) {
	name, ok := inCodebase(e)
	if !ok {
		return policy.Denial{}, false
	}
	changes := changing(e)
	d := policy.Denial{Operation: operation(e), Path: name, Verdict: pol.Decide(name)}
	refused := e.Errno == unix.EROFS || e.Errno == unix.EACCES || e.Errno == unix.EPERM
	switch level := d.Verdict.Level; {
	case level == policy.None && d.Verdict.Rule != policy.NoRule && e.Errno == unix.ENOENT:
	case level == policy.View && !changes && e.Errno == unix.EACCES && (e.Op == ebpf.Open || e.Op == ebpf.Execute):
	case level < policy.Write && changes && refused:
	case level == policy.Write && changes && e.Errno == unix.EROFS:
	default:
		return policy.Denial{}, false
	}
	return d, true
}

// inCodebase returns the event's path relative to the codebase, if it lies there.
func inCodebase(e ebpf.Event) (string, bool) {
	name := e.Path
	if e.Base != "" {
		name = e.Base + "/" + e.Path
	}
	name = path.Clean(name)
	if rest, ok := strings.CutPrefix(name, "/workspace"); ok && (rest == "" || rest[0] == '/') {
		return path.Clean("/" + rest), true
	}
	return name, name == "/output" || strings.HasPrefix(name, "/output/")
}

// changing reports whether the operation needs level write.
func changing(e ebpf.Event) bool {
	switch e.Op {
	case ebpf.Open:
		return e.Flags&syscall.O_ACCMODE != syscall.O_RDONLY || e.Flags&(syscall.O_CREAT|syscall.O_TRUNC) != 0
	case ebpf.Stat, ebpf.Execute, ebpf.ReadLink, ebpf.Enter:
		return false
	}
	return true
}

func operation(e ebpf.Event) string {
	if e.Op != ebpf.Open || !changing(e) {
		return e.Op.String()
	}
	if e.Flags&syscall.O_CREAT != 0 {
		return ebpf.Create.String()
	}
	return "write"
}

// hint says what allows the operation that was refused.
func hint(rules []policy.Rule, d policy.Denial, changes bool) string {
	if v := d.Verdict; v.Rule != policy.NoRule && rules[v.Rule].Preset == policy.DefaultPreset && !changes {
		return "preset read-only allows to read it"
	}
	r := allowing(rules, d, changes)
	return fmt.Sprintf("a rule %s=%s@%d allows it", r.Pattern, r.Level, r.Priority)
}

// allowing returns a rule that outranks the one that decided.
func allowing(rules []policy.Rule, d policy.Denial, changes bool) policy.Rule {
	r := policy.Rule{Pattern: literal(d.Path), Level: policy.Read}
	if changes { // new names need a rule on their directory
		r.Pattern = strings.TrimSuffix(literal(path.Dir(d.Path)), "/") + "/**"
		r.Level = policy.Write
	}
	if d.Verdict.Rule != policy.NoRule {
		r.Priority = min(rules[d.Verdict.Rule].Priority, math.MaxInt32-1) + 1
	}
	return r
}

// literal returns a pattern that matches the path and nothing else.
func literal(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if strings.IndexByte(`*?[]{},\!`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
