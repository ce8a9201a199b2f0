package fuse

import "sync/atomic"

// load counts requests.
type load struct {
	started, ended atomic.Uint64
}

func (l *load) begin() *load {
	l.started.Add(1)
	return l
}

func (l *load) end() { l.ended.Add(1) }

// Load returns how many requests are being worked on and how many were ever
// done. A view with work to do that gets none done is stuck.
func (v *View) Load() (busy, done uint64) {
	done = v.load.ended.Load()
	return v.load.started.Load() - done, done
}
