package api

import (
	"context"
	"sync"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// kept is the output of a command that one answer is to hold.
type kept struct {
	stdout, stderr keeper
	release        func() // to be called when the answer is there

	mu    sync.Mutex // above the keepers, until ended
	ended bool
}

// keeper keeps the first bytes of a stream, as many as it may.
type keeper struct {
	data      []byte
	max       int
	more      func(n int) bool // whether the user may have so many more in memory
	truncated bool
}

// keep returns what keeps as many bytes of each stream as a call asks for, and as
// all answers of its user together may have.
func (s *Server) keep(ctx context.Context, asked int64) *kept {
	limit := s.cfg.Limits.Output
	if asked != 0 {
		limit = int(min(asked, int64(s.cfg.Limits.OutputMax)))
	}
	c, _ := caller(ctx) // every call that is admitted has one
	one := keeper{max: limit, more: func(n int) bool { return s.kept.more(c.UID, n, s.cfg.Limits.Kept) }}
	k := &kept{stdout: one, stderr: one}
	k.release = func() {
		k.end()
		s.kept.give(c.UID, len(k.stdout.data)+len(k.stderr.data))
	}
	return k
}

func (k *kept) sink(typ sandboxv1.ExecOutput_OutputType, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.ended:
	case typ == sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR:
		k.stderr.keep(b)
	default:
		k.stdout.keep(b)
	}
	return nil
}

// end drops what comes from now on: a session may still give some after it has
// given a command up.
func (k *kept) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
}

func (k *keeper) keep(b []byte) {
	if k.truncated {
		return
	}
	if room := k.max - len(k.data); len(b) > room {
		b, k.truncated = b[:room], true
	}
	if !k.more(len(b)) {
		k.truncated = true
		return
	}
	k.data = append(k.data, b...)
}
