package sandbox

import (
	"slices"

	"github.com/agentfense/agentfense/landlock"
	"github.com/agentfense/agentfense/sandboxd/host"
)

// Losses returns what a sandbox made from p asks for and this host lacks.
func (r *Registry) Losses(p Params) []host.Loss {
	var lost []host.Loss
	for _, l := range r.cfg.Losses {
		if p.asksFor(l.Name) {
			lost = append(lost, l)
		}
	}
	return lost
}

// asksFor reports whether a loss would take something from the sandbox.
func (p *Params) asksFor(loss string) bool {
	switch loss {
	case host.LossMemory:
		return p.Limits.Memory > 0
	case host.LossCPU:
		return p.Limits.CPUQuota > 0 || p.Limits.CPUShares > 0
	case host.LossDisk:
		return p.Limits.Disk > 0
	}
	return true
}

// needed are the losses that no sandbox starts with unless it accepts them.
// The others are parts of Landlock, behind which mounts and namespaces stand.
var needed = []string{
	landlock.LossLandlock, host.LossSeccomp, host.LossPids, host.LossMemory, host.LossCPU, host.LossDisk,
}

// checkLosses returns a [LossError] for the first loss that keeps p's sandbox
// from starting.
func (r *Registry) checkLosses(p Params) error {
	for _, l := range r.Losses(p) {
		if slices.Contains(p.Accepted, l.Name) {
			continue
		}
		if p.Strict || slices.Contains(needed, l.Name) {
			return &LossError{l}
		}
	}
	return nil
}

// lost names the losses that a sandbox starts with.
func (r *Registry) lost(p Params) []string {
	var names []string
	for _, l := range r.Losses(p) {
		names = append(names, l.Name)
	}
	return names
}
