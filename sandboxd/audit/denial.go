package audit

import (
	"fmt"
	"math"
	"path"
	"strings"
	"sync"
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

// hint says what allows the operation that was refused: below the default preset
// another one, else a rule.
func hint(rules []policy.Rule, d policy.Denial, e ebpf.Event) string {
	if v := d.Verdict; v.Rule != policy.NoRule && rules[v.Rule].Preset == policy.DefaultPreset {
		level, what := policy.Read, "read"
		if changing(e) {
			level, what = policy.Write, "change"
		}
		if name := presetThatGives(level, d.Path); name != "" {
			return "preset " + name + " allows to " + what + " it"
		}
	}
	r := allowing(rules, d, e)
	said := fmt.Sprintf("a rule %s=%s@%d allows it", r.Pattern, r.Level, r.Priority)
	if wide := remedy(rules, d, e); wide != r {
		said += fmt.Sprintf(" if the file exists, %s=%s@%d also if not", wide.Pattern, wide.Level, wide.Priority)
	}
	return said
}

// presets are those beside the default, what allows less first.
var presets = sync.OnceValue(func() (all []named) {
	for _, name := range []string{"read-only", "agent-safe", "development", "full-access"} {
		if rules, err := policy.Preset(name); err == nil {
			if compiled, err := policy.Compile(rules); err == nil {
				all = append(all, named{name, compiled})
			}
		}
	}
	return all
})

type named struct {
	name   string
	policy *policy.Policy
}

// presetThatGives returns the first preset in which a path has a level; "" is none.
func presetThatGives(level policy.Level, name string) string {
	for _, p := range presets() {
		if p.policy.Decide(name).Level >= level {
			return p.name
		}
	}
	return ""
}

// allowing returns a rule that outranks the one that decided, and allows no more
// than it must.
func allowing(rules []policy.Rule, d policy.Denial, e ebpf.Event) policy.Rule {
	r := policy.Rule{Pattern: literal(d.Path), Level: policy.Read}
	if d.Verdict.Rule != policy.NoRule {
		r.Priority = min(rules[d.Verdict.Rule].Priority, math.MaxInt32-1) + 1
	}
	if changing(e) {
		r.Level = policy.Write
		if d.Verdict.Level == policy.Write || !inPlace(e) && !mayCreate(e) {
			return widening(r, d)
		}
	}
	return r
}

// remedy returns a rule that allows the operation whether the file exists or not.
func remedy(rules []policy.Rule, d policy.Denial, e ebpf.Event) policy.Rule {
	r := allowing(rules, d, e)
	if mayCreate(e) && d.Verdict.Level < policy.Write {
		return widening(r, d)
	}
	return r
}

// widening returns the rule for the whole directory, which new names need.
func widening(r policy.Rule, d policy.Denial) policy.Rule {
	r.Pattern = strings.TrimSuffix(literal(path.Dir(d.Path)), "/") + "/**"
	return r
}

// inPlace reports whether the operation changes the content of a file that is
// there.
func inPlace(e ebpf.Event) bool {
	return e.Op == ebpf.Truncate || e.Op == ebpf.Open && e.Flags&syscall.O_CREAT == 0
}

// mayCreate reports whether it does that, or creates the file.
func mayCreate(e ebpf.Event) bool {
	return e.Op == ebpf.Open && e.Flags&(syscall.O_CREAT|syscall.O_EXCL) == syscall.O_CREAT
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
