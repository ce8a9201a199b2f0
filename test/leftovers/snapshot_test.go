package main

import (
	"slices"
	"testing"
)

func TestSince(t *testing.T) {
	before := snapshot{"mount": {"1 /a": "/a"}, "file": {"/tmp/x": "/tmp/x"}}
	for name, tt := range map[string]struct {
		now  snapshot
		want []string
	}{
		"what was there before is no leftover": {before, nil},
		"what went away is no leftover":        {snapshot{}, nil},
		"what is new is named with its kind, in the probes' order": {
			snapshot{"file": {"/tmp/y": "/tmp/y", "/tmp/x": "/tmp/x"}, "mount": {"3 /c": "/c", "2 /b": "/b"}},
			[]string{"mount: /b", "mount: /c", "file: /tmp/y"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.now.since(before); !slices.Equal(got, tt.want) {
				t.Errorf("since() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNamesOfOurs(t *testing.T) {
	for name, want := range map[string]bool{
		"agentfense-view": true, "sandboxd": true, "sb_0123456789abcdef": true, "agentfense-sb_01234567": true,
		"usb_1": false, "systemd": false, "bash": false,
	} {
		if got := ours.MatchString(name); got != want {
			t.Errorf("ours matches %q: %v, want %v", name, got, want)
		}
	}
}
