package native

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/agentfense/agentfense/landlock/seccomp"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Filters holds the seccomp programs that were compiled, by their groups. Its
// zero value is ready to use.
type Filters struct {
	mu    sync.Mutex
	ready map[string]seccomp.Program
}

// Compile returns the filter of a sandbox; none if it starts without.
func (f *Filters) Compile(spec runtime.Spec) (seccomp.Program, error) {
	if slices.Contains(spec.Lost, host.LossSeccomp) {
		return nil, nil
	}
	groups := slices.Sorted(slices.Values(spec.Groups))
	key := strings.Join(groups, ",")
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.ready[key]; ok {
		return p, nil
	}
	p, err := seccomp.Compile(groups...)
	if err != nil {
		return nil, fmt.Errorf("cannot compile the seccomp filter: %w", err)
	}
	if f.ready == nil {
		f.ready = map[string]seccomp.Program{}
	}
	f.ready[key] = p
	return p, nil
}
