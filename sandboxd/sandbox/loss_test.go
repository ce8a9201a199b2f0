package sandbox

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/agentfense/agentfense/landlock"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// without makes a fixture's host lack what these losses name.
func without(names ...string) func(*fixture) {
	return func(f *fixture) {
		for _, l := range host.Known() {
			if slices.Contains(names, l.Name) {
				f.losses = append(f.losses, l)
			}
		}
	}
}

func TestSandboxesNeedWhatTheyAskFor(t *testing.T) {
	memory := runtime.Limits{Memory: 1 << 20}
	for name, tt := range map[string]struct {
		lost    string
		limits  runtime.Limits
		confine Confinement
		refused bool
	}{
		"no Landlock at all keeps every sandbox":         {lost: landlock.LossLandlock, refused: true},
		"no seccomp keeps every sandbox":                 {lost: host.LossSeccomp, refused: true},
		"no pids limit keeps every sandbox":              {lost: host.LossPids, refused: true},
		"a part of Landlock keeps none":                  {lost: landlock.LossTruncate},
		"a part of Landlock keeps a strict one":          {lost: landlock.LossTruncate, confine: Confinement{Strict: true}, refused: true},
		"a strict one may accept it":                     {lost: landlock.LossTruncate, confine: Confinement{Strict: true, Accepted: []string{landlock.LossTruncate}}},
		"a strict one accepts no other by that":          {lost: landlock.LossTruncate, confine: Confinement{Strict: true, Accepted: []string{landlock.LossScope}}, refused: true},
		"a memory limit that cannot be":                  {lost: host.LossMemory, limits: memory, refused: true},
		"nobody asks for a memory limit":                 {lost: host.LossMemory},
		"a strict one asks for no memory limit":          {lost: host.LossMemory, confine: Confinement{Strict: true}},
		"a memory limit that need not be":                {lost: host.LossMemory, limits: memory, confine: Confinement{Accepted: []string{host.LossMemory}}},
		"a memory limit, and the cpu controller is gone": {lost: host.LossCPU, limits: memory},
		"a CPU quota that cannot be":                     {lost: host.LossCPU, limits: runtime.Limits{CPUQuota: 1000}, refused: true},
		"CPU shares that cannot be":                      {lost: host.LossCPU, limits: runtime.Limits{CPUShares: 2}, refused: true},
		"a disk limit that cannot be":                    {lost: host.LossDisk, limits: runtime.Limits{Disk: 1 << 20}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, without(tt.lost))
			p := Params{CodebaseID: f.codebase, Owner: 1, Rules: writing(), Mode: Manual, Limits: tt.limits, Confinement: tt.confine}
			s, err := f.Create(context.Background(), p)
			var loss *LossError
			if errors.As(err, &loss) != tt.refused || tt.refused && loss.Name != tt.lost {
				t.Fatalf("Create() = %v, want refused: %v", err, tt.refused)
			}
			if tt.refused {
				return
			}
			if err := s.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			asked := len(f.Losses(p)) > 0
			if got := f.runtime.instance(s.Info().ID).spec.Lost; slices.Contains(got, tt.lost) != asked {
				t.Errorf("the runtime is told of %q, asked for: %v", got, asked)
			}
		})
	}
}

// A daemon may come back on a kernel that can do less.
func TestLossesAreLookedAtAgainAtStart(t *testing.T) {
	f := newFixture(t)
	id := f.create().Info().ID
	f.close()
	without(host.LossSeccomp)(f)
	f.open()
	s, err := f.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	var loss *LossError
	if err := s.Start(context.Background()); !errors.As(err, &loss) || loss.Name != host.LossSeccomp {
		t.Errorf("Start() = %v, want a LossError", err)
	}
}
