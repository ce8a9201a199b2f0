package api

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/disk"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

const (
	maxLabels     = 64
	maxLabelKey   = 128
	maxLabelValue = 1024
	maxName       = 256
	maxRequestID  = 128
	maxEnv        = 4096
	maxArgs       = 16384
	// maxString is the kernel's cap on one argument or variable, its NUL included.
	maxString = 128 << 10
	// maxExpiry keeps arithmetic on times sound.
	maxExpiry = 100 * 365 * 24 * time.Hour
)

// seccompGroups are those that a sandbox may ask for beside core.
var seccompGroups = []string{"debug"}

// checkName checks a short text that is shown to people.
func checkName(field, value string, most int) error {
	switch {
	case len(value) > most:
		return invalid(field, "longer than %d bytes", most)
	case strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return invalid(field, "control characters are refused")
	}
	return nil
}

func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return invalid("labels", "%d of them, at most %d are allowed", len(labels), maxLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" {
			return invalid("labels", "a key is empty")
		}
		if err := checkName("labels", key, maxLabelKey); err != nil {
			return err
		}
		if len(labels[key]) > maxLabelValue {
			return invalid("labels", "the value of %q is longer than %d bytes", key, maxLabelValue)
		}
	}
	return nil
}

// duration returns a duration that is not negative; absent is zero.
func duration(field string, d *durationpb.Duration, most time.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, invalid(field, "%v", err)
	}
	switch v := d.AsDuration(); {
	case v < 0:
		return 0, invalid(field, "%v is negative", v)
	case v > most:
		return most, nil
	default:
		return v, nil
	}
}

// confinementOf checks what a request says of losses and seccomp groups.
func confinementOf(req *sandboxv1.CreateSandboxRequest) (c sandbox.Confinement, err error) {
	for _, name := range req.GetAcceptLosses() {
		if !host.KnownName(name) {
			return c, invalid("accept_losses", "%q is not the name of a loss", clip(name, maxLabelKey))
		}
	}
	for _, name := range req.GetSeccompGroups() {
		if !slices.Contains(seccompGroups, name) {
			return c, invalid("seccomp_groups", "%q is none of %q", clip(name, maxLabelKey), seccompGroups)
		}
	}
	unique := func(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
	return sandbox.Confinement{
		Groups: unique(req.GetSeccompGroups()), Accepted: unique(req.GetAcceptLosses()), Strict: req.GetStrict(),
	}, nil
}

// limitsOf checks the limits of a request. A sandbox gets at most mostOutput bytes
// of output per second; zero: there is no bound.
func limitsOf(w *sandboxv1.ResourceLimits, mostOutput int64) (runtime.Limits, error) {
	if mostOutput == 0 {
		mostOutput = math.MaxInt64
	}
	for _, l := range []struct {
		field            string
		value, min, most int64
	}{
		{"resources.memory_bytes", w.GetMemoryBytes(), runtime.MinMemory, math.MaxInt64},
		{"resources.cpu_quota", w.GetCpuQuota(), runtime.MinCPUQuota, runtime.MaxCPUQuota},
		{"resources.cpu_shares", w.GetCpuShares(), runtime.MinCPUShares, runtime.MaxCPUShares},
		{"resources.pids_limit", w.GetPidsLimit(), runtime.MinPids, runtime.MaxPids},
		{"resources.disk_bytes", w.GetDiskBytes(), disk.MinBytes, disk.MaxBytes},
		{"resources.output_rate", w.GetOutputRate(), sandbox.MinOutputRate, mostOutput},
	} {
		switch {
		case l.value == 0: // the daemon's default
		case l.value < l.min:
			return runtime.Limits{}, invalid(l.field, "%d is below the least possible, %d", l.value, l.min)
		case l.value > l.most:
			return runtime.Limits{}, invalid(l.field, "%d is above the most possible, %d; leave it out for the daemon's default", l.value, l.most)
		}
	}
	timeout, err := duration("resources.timeout", w.GetTimeout(), maxTimeout)
	if err != nil {
		return runtime.Limits{}, err
	}
	return runtime.Limits{
		Memory: w.GetMemoryBytes(), CPUQuota: w.GetCpuQuota(), CPUShares: w.GetCpuShares(), Pids: w.GetPidsLimit(),
		Disk: w.GetDiskBytes(), OutputRate: w.GetOutputRate(), Timeout: timeout,
	}, nil
}
