package api

import (
	"sync"
	"sync/atomic"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// What output costs is the time of the daemon and of the client, which the
// sandbox's share of the CPU does not bound. So a command that writes much lets
// others go first that have just begun.
const (
	// youth is how long a command counts as one that has just begun.
	youth = 100 * time.Millisecond
	// muchOutput is what a command writes before it lets others go first.
	muchOutput = 1 << 20
	// wayFor is how long it does that before each chunk, at most: other
	// commands, however many, slow it down and never stop it.
	wayFor = 10 * time.Millisecond
	wayAsk = time.Millisecond
)

// newcomers counts commands that have just begun. Its zero value is ready.
type newcomers struct{ now atomic.Int64 }

// arrive counts one more, until it calls grown or youth is over.
func (n *newcomers) arrive() (grown func()) {
	n.now.Add(1)
	once := sync.OnceFunc(func() { n.now.Add(-1) })
	timer := time.AfterFunc(youth, once)
	return func() {
		timer.Stop()
		once()
	}
}

// goFirst waits for newcomers.
func (n *newcomers) goFirst(sleep func(time.Duration)) {
	for waited := time.Duration(0); waited < wayFor && n.now.Load() > 0; waited += wayAsk {
		sleep(wayAsk)
	}
}

// yielding makes the output of a command wait for newcomers once it is much.
func (n *newcomers) yielding(grown func(), next sink) sink {
	var written atomic.Int64
	return func(typ sandboxv1.ExecOutput_OutputType, b []byte) error {
		if written.Add(int64(len(b))) > muchOutput {
			grown()
			n.goFirst(time.Sleep)
		}
		return next(typ, b)
	}
}
