package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestWhoYields(t *testing.T) {
	for name, c := range map[string]struct {
		loads []load
		want  []bool
	}{
		"nobody is there":                        {nil, []bool{}},
		"a little is nothing":                    {[]load{{used: 6 * ms}}, []bool{false}},
		"busy without a command":                 {[]load{{used: 7 * ms}, {}}, []bool{true, false}},
		"busy with one":                          {[]load{{used: 50 * ms, began: true}}, []bool{false}},
		"greedy with one":                        {[]load{{used: 80 * ms, began: true}, {used: 90 * ms}}, []bool{true, true}},
		"greedy, but less than half of the most": {[]load{{used: 80 * ms, began: true}, {used: 190 * ms}}, []bool{false, true}},
		"busy, but to be ended":                  {[]load{{used: 200 * ms, hurries: true}, {used: 90 * ms}}, []bool{false, true}},
		"equal weights":                          {[]load{{used: 90 * ms, weight: 9}, {used: 90 * ms, weight: 9}, {weight: 5}}, []bool{true, true, false}},
		"other weights":                          {[]load{{used: 90 * ms, weight: 9}, {used: 90 * ms, weight: 5}}, []bool{false, false}},
	} {
		if got := whoYields(c.loads, 100*ms); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// hand is a machine whose clocks the test moves.
type hand struct {
	all, one, other time.Duration
	t               *testing.T
	y               *yielder
	last            sample
	at              time.Time
}

func (h *hand) busy() (time.Duration, int, error) { return h.all, 2, nil }

func handCPU(t *testing.T) *cpu {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"cpu.idle", "cpu.shares"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &cpu{usage: filepath.Join(dir, "usage"), unit: 1, dir: dir, file: "cpu.shares", weight: 512}
}

// pass lets 100 ms pass, in which the rest of the machine, the first and the
// second group used so much.
func (h *hand) pass(rest, one, other time.Duration) {
	h.t.Helper()
	h.at, h.one, h.other, h.all = h.at.Add(100*time.Millisecond), h.one+one, h.other+other, h.all+rest+one+other
	h.show(h.y.all, h.one+h.other)
	for m := range h.y.members {
		switch m.bounds.(handGroup) {
		case "one":
			h.show(m.cpu, h.one)
		case "other":
			h.show(m.cpu, h.other)
		}
	}
	var err error
	if h.last, err = h.y.round(h.last, h.at); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) show(c *cpu, used time.Duration) {
	if err := os.WriteFile(c.usage, []byte(strconv.Itoa(int(used))+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// want says which of all, one and other have to go last.
func (h *hand) want(all, one, other bool) {
	h.t.Helper()
	got := map[string]bool{"all": h.y.all.shown(h.t)}
	for m := range h.y.members {
		got[string(m.bounds.(handGroup))] = m.cpu.shown(h.t)
	}
	for name, want := range map[string]bool{"all": all, "one": one, "other": other} {
		if got[name] != want {
			h.t.Errorf("%s goes last: %v, want %v", name, got[name], want)
		}
	}
}

func (c *cpu) shown(t *testing.T) bool {
	b, err := os.ReadFile(filepath.Join(c.dir, "cpu.idle"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(b), "1")
}

type handGroup string

func (handGroup) Dir() *os.File             { return nil }
func (handGroup) Tasks() []*os.File         { return nil }
func (handGroup) OOMKills() (uint64, error) { return 0, nil }
func (handGroup) Delete() error             { return nil }

func newHand(t *testing.T) (h *hand, one, other *member) {
	h = &hand{t: t, at: time.Now()}
	h.y = &yielder{machine: h, all: handCPU(t), members: map[*member]struct{}{}}
	one, other = h.y.add(handGroup("one"), handCPU(t)), h.y.add(handGroup("other"), handCPU(t))
	h.pass(0, 0, 0)
	return h, one, other
}

const ms = time.Millisecond

func TestBusyGroupsGoLast(t *testing.T) {
	h, one, other := newHand(t)
	h.pass(10*ms, 0, 0)
	h.want(false, false, false)
	h.pass(20*ms, 80*ms, 1*ms) // crowded: from now on it is measured
	h.pass(20*ms, 80*ms, 1*ms)
	h.want(true, true, false)
	one.Began()
	other.Began()
	h.pass(20*ms, 60*ms, 20*ms)
	h.want(true, false, false)
	h.pass(20*ms, 60*ms, 20*ms)
	h.want(true, true, true)
	h.pass(10*ms, 0, 0) // nobody waits any more
	h.want(false, false, false)
	if b, err := os.ReadFile(filepath.Join(one.cpu.dir, "cpu.shares")); err != nil || !strings.HasPrefix(string(b), "512") {
		t.Errorf("its weight is %q, %v, want 512 again", b, err)
	}
}

func TestWhatIsToBeEndedDoesNotGoLast(t *testing.T) {
	h, one, _ := newHand(t)
	h.pass(0, 90*ms, 90*ms)
	h.pass(0, 90*ms, 90*ms)
	h.want(true, true, true)
	one.Hurry(time.Hour)
	h.want(true, false, true)
	h.pass(0, 90*ms, 90*ms)
	h.want(true, false, true)
	one.Hurry(0)
	h.pass(0, 90*ms, 90*ms)
	h.want(true, true, true)
}

func TestSandboxesHaveTheirShareOfABusyMachine(t *testing.T) {
	h, _, _ := newHand(t)
	h.pass(140*ms, 40*ms, 0)
	h.pass(140*ms, 40*ms, 0)
	h.want(true, true, false)
	h.pass(160*ms, 40*ms, 0)
	h.want(false, true, false)
}

func TestGroupsThatEndAreForgotten(t *testing.T) {
	h, one, other := newHand(t)
	h.pass(0, 90*ms, 90*ms)
	h.pass(0, 90*ms, 90*ms)
	h.want(true, true, true)
	if err := one.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(one.cpu.dir); err != nil {
		t.Fatal(err)
	}
	h.pass(0, 0, 90*ms)
	if err := other.Delete(); err != nil {
		t.Fatal(err)
	}
	h.pass(0, 0, 90*ms)
	if len(h.y.members) != 0 {
		t.Errorf("%d groups are left, want none", len(h.y.members))
	}
}

func TestAKillIsNotLateForARoundUnderWay(t *testing.T) {
	h, one, _ := newHand(t)
	one.Hurry(time.Hour)
	if err := h.y.yield(one, true); err != nil { // what was decided before that
		t.Fatal(err)
	}
	h.want(false, false, false)
}

func TestAGroupThatCannotYieldIsTriedAgain(t *testing.T) {
	h, one, _ := newHand(t)
	file := filepath.Join(one.cpu.dir, "cpu.idle")
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := h.y.yield(one, true); err == nil {
		t.Error("no error with no file")
	}
	if err := errors.Join(os.Remove(file), os.WriteFile(file, []byte("0\n"), 0o600), h.y.yield(one, true)); err != nil {
		t.Fatal(err)
	}
	h.want(false, true, false)
}

func TestAControllerMayComeLater(t *testing.T) {
	h, _, _ := newHand(t)
	for _, name := range []string{"cpu.idle", "cpu.shares"} {
		if err := os.Remove(filepath.Join(h.y.all.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	h.pass(150*ms, 0, 0)
	for _, name := range []string{"cpu.idle", "cpu.shares"} {
		if err := os.WriteFile(filepath.Join(h.y.all.dir, name), []byte("0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.pass(0, 90*ms, 0)
	h.pass(0, 90*ms, 0)
	h.want(true, true, false)
}

func TestAnOldKernelSaysSo(t *testing.T) {
	h, _, _ := newHand(t)
	if err := os.Remove(filepath.Join(h.y.all.dir, "cpu.idle")); err != nil {
		t.Fatal(err)
	}
	h.all += 150 * ms
	if _, err := h.y.round(h.last, h.at.Add(100*ms)); !errors.Is(err, ErrNoIdleGroups) {
		t.Errorf("round() = %v, want %v", err, ErrNoIdleGroups)
	}
}

func TestTheMachineIsMeasured(t *testing.T) {
	before, cpus, err := procStat{}.busy()
	if err != nil || cpus < 1 {
		t.Fatalf("busy() = %v, %d, %v", before, cpus, err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		after, _, err := procStat{}.busy()
		if err != nil {
			t.Fatal(err)
		}
		if after > before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the machine was never busy")
		}
	}
}
