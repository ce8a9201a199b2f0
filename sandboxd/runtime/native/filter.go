package native

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/agentfense/agentfense/landlock/seccomp"
)

// filters holds the seccomp programs that were compiled, by their groups. Its
// zero value is ready to use.
type filters struct {
	mu    sync.Mutex
	ready map[string]seccomp.Program
}

func (f *filters) compile(groups []string) (seccomp.Program, error) {
	groups = slices.Sorted(slices.Values(groups))
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
