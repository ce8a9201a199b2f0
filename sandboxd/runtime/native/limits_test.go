package native

import (
	"math"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// TestProcessesAreAlwaysLimited shows that no number of processes, however it
// came into a record, is as good as none.
func TestProcessesAreAlwaysLimited(t *testing.T) {
	for asked, want := range map[int64]int64{
		0:                   runtime.DefaultPids + worker.Threads,
		2:                   2 + worker.Threads,
		runtime.MaxPids:     runtime.MaxPids,
		runtime.MaxPids - 1: runtime.MaxPids,
		math.MaxInt64:       runtime.MaxPids,
		math.MaxInt64 - 20:  runtime.MaxPids,
		-1:                  runtime.DefaultPids + worker.Threads,
		math.MinInt64:       runtime.DefaultPids + worker.Threads,
	} {
		if got := LimitsOf(runtime.Spec{Limits: runtime.Limits{Pids: asked}}).Pids; got != want {
			t.Errorf("a sandbox that asks for %d processes gets %d, want %d", asked, got, want)
		}
	}
	if got := LimitsOf(runtime.Spec{Lost: []string{host.LossPids}}).Pids; got != 0 {
		t.Errorf("with the loss accepted a sandbox gets %d processes, want no limit", got)
	}
}
