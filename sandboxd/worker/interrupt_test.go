package worker

import (
	"slices"
	"testing"
	"time"
)

func TestInterruptSparesWhatIsOlder(t *testing.T) {
	const root, shell, runner = 1, 10, 5
	m := &Interrupt{Since: int64(100*clockTick + 3*time.Millisecond), Mark: 50}
	tree := map[int][]process{
		root:  {{shell, 90}, {runner, 95}, {60, 200}},
		shell: {{20, 99}, {49, 100}, {51, 100}, {70, 101}},
	}
	tree[20] = []process{{80, 300}}   // of a job that is older
	tree[70] = []process{{81, 300}}   // of what is new
	tree[runner] = []process{{82, 9}} // somebody else's
	got := newer(root, shell, tree, map[int]bool{runner: true}, m)
	slices.Sort(got)
	if want := []int{51, 60, 70, 81}; !slices.Equal(got, want) {
		t.Errorf("newer(...) = %v, want %v", got, want)
	}
}
