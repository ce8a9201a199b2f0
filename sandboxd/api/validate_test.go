package api

import (
	"errors"
	"math"
	"testing"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestLimitsMustBePossible(t *testing.T) {
	type limits = sandboxv1.ResourceLimits
	for name, tt := range map[string]struct {
		of          func(int64) *limits
		least, most int64
	}{
		"memory_bytes": {func(n int64) *limits { return &limits{MemoryBytes: n} }, 4 << 20, math.MaxInt64},
		"cpu_quota":    {func(n int64) *limits { return &limits{CpuQuota: n} }, 1000, 10_000_000_000},
		"cpu_shares":   {func(n int64) *limits { return &limits{CpuShares: n} }, 2, 262_144},
		"pids_limit":   {func(n int64) *limits { return &limits{PidsLimit: n} }, 2, 4_194_304},
		"disk_bytes":   {func(n int64) *limits { return &limits{DiskBytes: n} }, 4 << 20, 16<<40 - 4096},
		"output_rate":  {func(n int64) *limits { return &limits{OutputRate: n} }, 65_536, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			for n, possible := range map[int64]bool{
				0: true, tt.least: true, tt.most: true,
				-1: false, math.MinInt64: false, 1: false, tt.least - 1: false,
			} {
				check(t, tt.of(n), possible)
			}
			if tt.most < math.MaxInt64 {
				check(t, tt.of(tt.most+1), false)
				check(t, tt.of(math.MaxInt64), false)
			}
		})
	}
	if _, err := limitsOf(&limits{OutputRate: math.MaxInt64}, 0); err != nil {
		t.Errorf("without a bound an enormous output rate is refused: %v", err)
	}
}

func check(t *testing.T, w *sandboxv1.ResourceLimits, possible bool) {
	t.Helper()
	_, err := limitsOf(w, 1<<20)
	f := (*failure)(nil)
	if possible && err != nil || !possible && (!errors.As(err, &f) || f.reason != ReasonInvalidField) {
		t.Errorf("limitsOf(%v) is %v, want possible %v", w, err, possible)
	}
}
