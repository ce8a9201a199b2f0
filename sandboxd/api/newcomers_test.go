package api

import (
	"testing"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestNewcomersGoFirst(t *testing.T) {
	const most = int(wayFor / wayAsk)
	for name, tt := range map[string]struct {
		arrive, growAfter, want int
	}{
		"nobody is waited for where nobody comes": {0, 0, 0},
		"a newcomer is waited for":                {1, 3, 3},
		"nobody is waited for without end":        {2, most * 2, most},
	} {
		t.Run(name, func(t *testing.T) {
			var n newcomers
			var grown []func()
			for range tt.arrive {
				grown = append(grown, n.arrive())
			}
			slept := 0
			n.goFirst(func(time.Duration) {
				if slept++; slept == tt.growAfter {
					for _, g := range grown {
						g()
					}
				}
			})
			if slept != tt.want {
				t.Errorf("goFirst() slept %d times, want %d", slept, tt.want)
			}
			for _, g := range grown {
				g()
			}
			if left := n.now.Load(); left != 0 {
				t.Errorf("%d newcomers are left", left)
			}
		})
	}
}

func TestNewcomersGrowByThemselves(t *testing.T) {
	var n newcomers
	grown := n.arrive()
	for deadline := time.Now().Add(time.Minute); n.now.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a command is a newcomer for a minute")
		}
	}
	if grown(); n.now.Load() != 0 {
		t.Errorf("a command was counted %d times", n.now.Load())
	}
}

func TestACommandThatWritesMuchIsNoNewcomer(t *testing.T) {
	grown, passed := 0, 0
	var n newcomers
	out := n.yielding(func() { grown++ }, func(_ sandboxv1.ExecOutput_OutputType, b []byte) error {
		passed += len(b)
		return nil
	})
	for _, want := range []int{0, 1, 2} {
		if err := out(sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, make([]byte, muchOutput)); err != nil {
			t.Fatal(err)
		}
		if grown != want {
			t.Errorf("after %d bytes it grew %d times, want %d", passed, grown, want)
		}
	}
	if passed != 3*muchOutput {
		t.Errorf("%d bytes of %d came through", passed, 3*muchOutput)
	}
}
