package sandbox

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// MinOutputRate is the least that a sandbox's output may be limited to, in
	// bytes per second.
	MinOutputRate = 64 << 10
	// DefaultOutputRate is the most that any sandbox gets if the daemon is not
	// told otherwise.
	DefaultOutputRate = 256 << 20
	// OutputBurst is how much passes at once after a rest.
	OutputBurst = 1 << 20

	// maxDebt is how long what follows may have to wait for what hurried.
	maxDebt = 10 * time.Second

	// leastWait is what is worth a timer. A shorter wait adds to the next one.
	leastWait = time.Millisecond
)

// pacer bounds how fast the output of all commands of one sandbox passes.
type pacer struct {
	bytes *rate.Limiter // nil: there is no bound
}

// newPacer returns a pacer for a number of bytes per second; zero: no bound.
func newPacer(perSecond int64) *pacer {
	if perSecond == 0 {
		return &pacer{}
	}
	return &pacer{rate.NewLimiter(rate.Limit(perSecond), OutputBurst)}
}

// pass counts n bytes and returns when they may pass, or once something is
// received from hurry, or it is closed. They count in any case, and what
// follows waits for them, but what hurries while more than maxDebt is owed does not.
func (p *pacer) pass(n int, hurry <-chan struct{}) {
	for p.bytes != nil && n > 0 {
		piece := min(n, OutputBurst)
		n -= piece
		now := time.Now()
		wait := p.bytes.ReserveN(now, piece).DelayFrom(now)
		if wait < leastWait {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-hurry:
			timer.Stop()
			p.forgive(piece)
		}
	}
}

// forgive gives back n bytes that hurried if too much is owed.
func (p *pacer) forgive(n int) {
	now := time.Now()
	if owed := -p.bytes.TokensAt(now); owed > float64(p.bytes.Limit())*maxDebt.Seconds() {
		p.bytes.ReserveN(now, -n)
	}
}

// OutputRate returns how many bytes per second a sandbox gets that asks for some
// number, or with zero for none; zero if that is not bounded.
func (r *Registry) OutputRate(asked int64) int64 {
	if most := r.cfg.OutputRate; asked == 0 || most > 0 && most < asked {
		return most
	}
	return asked
}

// Pass is called for n bytes that commands of the sandbox have written, before
// they are passed on or dropped. It returns when the output rate allows that, or
// once hurry is closed or has a value. The bytes count then too, up to maxDebt.
func (r *Run) Pass(n int, hurry <-chan struct{}) { r.sandbox.pace.pass(n, hurry) }
