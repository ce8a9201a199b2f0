package cgroup

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrNoIdleGroups means that the kernel, older than Linux 5.15, cannot let a
// group go last.
var ErrNoIdleGroups = errors.New("busy sandboxes go before idle ones: the kernel has no cpu.idle")

const (
	// round is the time over which use is measured, if measuring takes next to
	// nothing: it may take one part in roundCost, up to longRound.
	round     = 100 * time.Millisecond
	longRound = time.Second
	roundCost = 50
)

// yielder lets what keeps the CPUs busy go last where they are short: groups
// behind other groups, and all of them behind the rest of the machine. What
// goes last runs whenever a CPU has nothing else to do.
type yielder struct {
	machine machine
	all     *cpu // of every daemon's sandboxes

	mu      sync.Mutex
	members map[*member]struct{}
}

// machine measures the whole of it.
type machine interface {
	// busy is how long CPUs have been so, added up, and how many there are.
	busy() (time.Duration, int, error)
}

// member is one group.
type member struct {
	bounds
	yielder *yielder
	cpu     *cpu // nil: not bounded, and never yields

	began   atomic.Bool   // a command, since the last round
	hurries atomic.Int64  // until this time, in Unix nanoseconds
	used    time.Duration // by the last round; -1: not known

	// Under the yielder's lock:
	yields  bool
	removed bool
}

// Began notes that a command begins: what has just been asked for something
// does not go last.
func (m *member) Began() { m.began.Store(true) }

// Hurry keeps the group from going last for some time: what is to be ended has
// to run for that.
func (m *member) Hurry(d time.Duration) {
	m.hurries.Store(time.Now().Add(d).UnixNano())
	_ = m.yielder.yield(m, false) // the next round says what is wrong
}

func (m *member) hurried() bool { return time.Now().UnixNano() < m.hurries.Load() }

func (m *member) Delete() error {
	m.yielder.remove(m)
	return m.bounds.Delete()
}

func (y *yielder) add(g bounds, c *cpu) *member {
	m := &member{bounds: g, yielder: y, cpu: c, used: -1}
	if c != nil {
		y.mu.Lock()
		defer y.mu.Unlock()
		y.members[m] = struct{}{}
	}
	return m
}

func (y *yielder) remove(m *member) {
	y.mu.Lock()
	defer y.mu.Unlock()
	m.removed = true
	delete(y.members, m)
}

// now returns the groups that there are.
func (y *yielder) now() []*member {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Collect(maps.Keys(y.members))
}

// run works until ctx ends.
func (y *yielder) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, y.relax(), y.all.setIdle(false)) }()
	var last sample
	for pause := round; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		began := time.Now()
		if last, err = y.round(last, began); err != nil {
			return err
		}
		pause = min(max(round, roundCost*time.Since(began)), longRound)
	}
}

// sample is what a round measured. The zero value is none.
type sample struct {
	at         time.Time
	busy, ours time.Duration
	crowded    bool // and so ours, and the groups, were measured
}

// round measures what has been used since last, and acts.
func (y *yielder) round(last sample, now time.Time) (sample, error) {
	busy, cpus, err := y.machine.busy()
	if err != nil {
		return sample{}, err
	}
	next := sample{at: now, busy: busy}
	took := now.Sub(last.at)
	if last.at.IsZero() || !crowded(busy-last.busy, took, cpus) {
		if last.crowded {
			return next, errors.Join(y.relax(), y.all.setIdle(false))
		}
		return next, nil
	}
	if next.ours, err = y.all.used(); err != nil {
		if gone(err) { // there is no sandbox
			return next, nil
		}
		return sample{}, err
	}
	if weighs, idles := y.all.has(y.all.file), y.all.has("cpu.idle"); !idles {
		if weighs {
			return sample{}, ErrNoIdleGroups
		}
		return next, nil // the controller comes with the first sandbox
	}
	next.crowded = true
	members, loads, err := y.measure()
	if err != nil || !last.crowded {
		return next, err
	}
	rest := (busy - last.busy) - (next.ours - last.ours)
	if err := y.all.setIdle(haveRoom(rest, took, cpus)); err != nil {
		return sample{}, err
	}
	for n, yields := range whoYields(loads, took) {
		if err := y.yield(members[n], yields); err != nil {
			return sample{}, err
		}
	}
	return next, nil
}

// measure returns what groups have used since they were measured last. What
// was not measured before has used nothing.
func (y *yielder) measure() ([]*member, []load, error) {
	members := y.now()
	loads := make([]load, len(members))
	for n, m := range members {
		loads[n] = load{began: m.began.Swap(false), hurries: m.hurried(), weight: m.cpu.weight}
		used, err := m.cpu.used()
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if m.used >= 0 {
			loads[n].used = used - m.used
		}
		m.used = used
	}
	return members, loads, nil
}

// relax lets no group yield any more, and forgets what was measured.
func (y *yielder) relax() error {
	var errs []error
	for _, m := range y.now() {
		m.used = -1
		errs = append(errs, y.yield(m, false))
	}
	return errors.Join(errs...)
}

// yield makes a group go last, or not.
func (y *yielder) yield(m *member, on bool) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	on = on && !m.hurried()
	if m.yields == on || m.removed { // then its path may be another's by now
		return nil
	}
	err := m.cpu.setIdle(on)
	if err == nil {
		m.yields = on
	}
	return err
}

// crowded says whether CPUs are busy enough for somebody to wait for one, long
// before all of them are: what wakes up may be put where another runs.
func crowded(busy, took time.Duration, cpus int) bool {
	return busy > took*time.Duration(cpus)/4
}

// haveRoom says whether the machine, its sandboxes aside, leaves enough CPU
// for them to go last.
func haveRoom(rest, took time.Duration, cpus int) bool {
	return rest < took*time.Duration(cpus)*3/4
}

// load is what a group used in a round.
type load struct {
	used    time.Duration
	began   bool // a command, in it
	hurries bool
	weight  int64
}

// whoYields says which groups go last: those that use CPU with no command just
// begun in them, and those that use much of it all the same. Weights count for
// nothing among what goes last, so nobody does where they differ.
func whoYields(loads []load, took time.Duration) []bool {
	yields := make([]bool, len(loads))
	var most time.Duration
	for _, l := range loads {
		most = max(most, l.used)
	}
	var weight int64
	for n, l := range loads {
		busy := l.used >= took/16 && !l.began
		greedy := l.used >= took*3/4 && l.used > most/2
		if l.hurries || !busy && !greedy {
			continue
		}
		if weight != 0 && l.weight != weight {
			return make([]bool, len(loads))
		}
		weight, yields[n] = l.weight, true
	}
	return yields
}

// gone says that a group has been removed.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}
