package main

import (
	"strings"
	"testing"
)

func TestItRefusesToStartWhereItCouldDoHarm(t *testing.T) {
	const sandbox = "Name:\tzoo\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
	for name, tt := range map[string]struct {
		uid    int
		status string
		ok     bool
	}{
		"a sandbox":               {4000, sandbox, true},
		"root":                    {0, sandbox, false},
		"no filter":               {4000, strings.Replace(sandbox, "Seccomp:\t2", "Seccomp:\t0", 1), false},
		"a capability":            {4000, strings.Replace(sandbox, "CapEff:\t0000000000000000", "CapEff:\t0000000000200000", 1), false},
		"capabilities to gain":    {4000, strings.Replace(sandbox, "CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff", 1), false},
		"new privileges":          {4000, strings.Replace(sandbox, "NoNewPrivs:\t1", "NoNewPrivs:\t0", 1), false},
		"nothing known of itself": {4000, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := checkPowerless(tt.uid, tt.status); (err == nil) != tt.ok {
				t.Errorf("checkPowerless(%d, ...) = %v", tt.uid, err)
			}
		})
	}
	for line, ok := range map[string]bool{
		"console=ttyS0 agentfense.throwaway=1\n": true, "console=ttyS0": false, "x=agentfense.throwaway=1": false, "agentfense.throwaway=10": false, "": false,
	} {
		if err := checkMachine(line); (err == nil) != ok {
			t.Errorf("checkMachine(%q) = %v", line, err)
		}
	}
	// Where tests run is neither.
	for _, place := range []string{"", placeSandbox, placeMachine, "elsewhere"} {
		if code, err := run([]string{"-in", place, "-run", "^names/open$"}); err == nil || code != 2 {
			t.Errorf("run(-in %q) = %d, %v, want a refusal", place, code, err)
		}
	}
}

func TestNamesOfProbesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range probes() {
		if seen[p.name] {
			t.Errorf("two probes are called %s", p.name)
		}
		seen[p.name] = true
	}
	if len(seen) < 300 {
		t.Errorf("there are %d probes", len(seen))
	}
}
