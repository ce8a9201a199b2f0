package sandbox

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const mebi = 1 << 20

func TestOutputPassesAtTheRate(t *testing.T) {
	for name, tt := range map[string]struct {
		rate, chunk, bytes int
		want               time.Duration
	}{
		"the first burst passes at once":           {mebi, 32 << 10, OutputBurst, 0},
		"what follows takes its time":              {mebi, 32 << 10, OutputBurst + 3*mebi, 3 * time.Second},
		"at the least rate too":                    {MinOutputRate, 32 << 10, OutputBurst + mebi, 16 * time.Second},
		"at the default rate, in short waits":      {DefaultOutputRate, 32 << 10, OutputBurst + 1<<30, 4 * time.Second},
		"in small chunks":                          {mebi, 100, OutputBurst + mebi, time.Second},
		"in chunks that are longer than the burst": {mebi, 3 * mebi, 6 * mebi, 5 * time.Second},
		"without a bound":                          {0, mebi, 1 << 30, 0},
		"at an enormous rate":                      {math.MaxInt64, mebi, 1 << 30, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, began := newPacer(int64(tt.rate)), time.Now()
				for left := tt.bytes; left > 0; left -= tt.chunk {
					p.pass(min(left, tt.chunk), nil)
				}
				if took := time.Since(began); took > tt.want || took < tt.want-leastWait {
					t.Errorf("%d bytes took %v, want %v", tt.bytes, took, tt.want)
				}
			})
		})
	}
}

func TestARestIsWorthOneBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(mebi)
		p.pass(OutputBurst, nil)
		time.Sleep(time.Hour)
		began := time.Now()
		p.pass(OutputBurst, nil)
		p.pass(mebi, nil)
		if took := time.Since(began); took != time.Second {
			t.Errorf("two bursts after an hour took %v, want 1s", took)
		}
	})
}

// TestOutputThatHurriesCounts shows that neither a closed channel nor a value
// lets more bytes pass than the rate allows in the end.
func TestOutputThatHurriesCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := newPacer(mebi), time.Now()
		ended := make(chan struct{})
		close(ended)
		p.pass(OutputBurst+mebi, ended)
		values := make(chan struct{})
		go func() { values <- struct{}{} }()
		p.pass(mebi, values)
		if took := time.Since(began); took != 0 {
			t.Errorf("output that hurries took %v", took)
		}
		p.pass(mebi, nil)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("what follows 2 MiB beyond the burst waited for %v, want 3s", took)
		}
	})
}

// TestTheDebtOfOutputIsBounded shows that what follows many commands that left
// their pipes full waits no longer than for the most that is owed.
func TestTheDebtOfOutputIsBounded(t *testing.T) {
	for name, rate := range map[string]int64{"at the least rate": MinOutputRate, "at a high one": 64 * mebi} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, began := newPacer(rate), time.Now()
				ended := make(chan struct{})
				close(ended)
				for range 100_000 {
					p.pass(64<<10, ended)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("output that hurries took %v", took)
				}
				p.pass(1, nil)
				if took := time.Since(began); took > maxDebt+time.Second || took < maxDebt-time.Second {
					t.Errorf("what follows waited for %v, want %v", took, maxDebt)
				}
				began = time.Now()
				p.pass(int(rate), nil)
				if took := time.Since(began); took < time.Second-leastWait || took > time.Second+leastWait {
					t.Errorf("a second's worth beyond that took %v", took)
				}
			})
		})
	}
}

func TestAWaitEndsWhenItIsHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := newPacer(MinOutputRate), time.Now()
		p.pass(OutputBurst, nil)
		ended := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(ended) })
		p.pass(OutputBurst, ended)
		if took := time.Since(began); took != time.Second {
			t.Errorf("a wait that ends after 1s took %v", took)
		}
	})
}

func TestNoMixOfCommandsPassesMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Int64Range(MinOutputRate, 1<<32).Draw(rt, "rate")
		commands := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(1, 64<<10), 1, 50), 1, 5).Draw(rt, "commands")
		synctest.Test(t, func(t *testing.T) {
			p, began := newPacer(limit), time.Now()
			passed := make(chan int)
			total := 0
			for _, chunks := range commands {
				total += len(chunks)
				go func() {
					for _, n := range chunks {
						p.pass(n, nil)
						passed <- n
					}
				}()
			}
			bytes := 0
			for range total {
				bytes += <-passed
				most := float64(OutputBurst) + float64(limit)*(time.Since(began)+leastWait).Seconds()
				if float64(bytes) > most {
					t.Fatalf("%d bytes in %v at %d bytes/s", bytes, time.Since(began), limit)
				}
			}
		})
	})
}

func TestASandboxKeepsItsOutputRate(t *testing.T) {
	f := newFixture(t, func(f *fixture) { f.rate = 2 * mebi })
	s := f.create(allWritable, func(p *Params) { p.Limits.OutputRate = mebi })
	f.crash()
	f.open()
	s, err := f.Find(s.Info().ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Sandbox{"one that was restored": s, "a fork": f.fork(s, ForkParams{Owner: 1})} {
		if got := s.pace.bytes.Limit(); s.Info().Limits.OutputRate != mebi || got != mebi {
			t.Errorf("%s has %d bytes/s, limited to %v", name, s.Info().Limits.OutputRate, got)
		}
	}
	if got := f.create(allWritable).pace.bytes.Limit(); got != 2*mebi {
		t.Errorf("a sandbox that asks for nothing gets %v bytes/s", got)
	}
	f.crash()
	f.rate = MinOutputRate
	f.open()
	if s, err = f.Find(s.Info().ID); err != nil {
		t.Fatal(err)
	}
	if got := s.pace.bytes.Limit(); got != MinOutputRate {
		t.Errorf("a sandbox gets %v bytes/s of a daemon that gives less than it asks for", got)
	}
}
