package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/agentfense/agentfense/ebpf"
	"github.com/agentfense/agentfense/policy"
)

const (
	// MaxDenials is how many different denials a window keeps.
	MaxDenials = 100
	// maxBytes bounds what a window keeps, with the rules that are named: it is
	// part of one answer.
	maxBytes = 32 << 10
	// perWindow is how many failures the kernel tells for each window.
	perWindow = 20_000
	// syncPatience bounds the wait for what the kernel has told.
	syncPatience = time.Second
)

// Recorder watches sandboxes.
type Recorder struct {
	watcher *ebpf.Watcher
	log     *slog.Logger
}

// OpenRecorder starts to watch. The error says why the kernel does not let it.
func OpenRecorder(log *slog.Logger) (*Recorder, error) {
	w, err := ebpf.OpenWatcher()
	if err != nil {
		return nil, err
	}
	return &Recorder{w, log}, nil
}

// Close ends it.
func (r *Recorder) Close() error { return r.watcher.Close() }

// Watch watches the sandbox that a process leads.
func (r *Recorder) Watch(pid int, pol *policy.Policy) (*Watch, error) {
	w := &Watch{pol: pol, rules: pol.Rules(), log: r.log, open: map[*window]struct{}{}}
	var err error
	w.sandbox, err = r.watcher.Track(pid, w.take)
	return w, err
}

// Watch is one sandbox that is watched.
type Watch struct {
	sandbox *ebpf.Sandbox
	pol     *policy.Policy
	rules   []policy.Rule
	log     *slog.Logger

	mu   sync.Mutex
	open map[*window]struct{}
}

func (w *Watch) take(e ebpf.Event) {
	d, denied := judge(w.pol, e)
	if !denied {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for win := range w.open {
		win.add(d, e)
	}
}

// Close stops watching. Nothing of the sandbox may run any more.
func (w *Watch) Close() error { return w.sandbox.Close() }

// window collects the denials of one sandbox.
type window struct {
	watch   *Watch
	dropped uint64 // before it began

	// What follows is guarded by watch.mu.
	seen    map[key]struct{}
	denials []policy.Denial
	bytes   int
	more    uint64
}

type key struct{ operation, path string }

// Begin opens a window. End closes it and returns its different denials in the
// order in which they happened, and how many failures it cannot tell about; it
// may be called again, to no effect.
func (w *Watch) Begin() (end func() (denials []policy.Denial, more uint64)) {
	win := &window{watch: w, seen: map[key]struct{}{}}
	if err := w.sandbox.Allow(perWindow); err != nil {
		w.log.Warn("cannot watch a command", "error", err)
	}
	win.dropped = w.sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[win] = struct{}{}
	return win.end
}

// add keeps a denial; watch.mu is held.
func (win *window) add(d policy.Denial, e ebpf.Event) {
	k := key{d.Operation, d.Path}
	if _, known := win.seen[k]; known {
		return
	}
	if len(win.denials) == MaxDenials {
		win.more++
		return
	}
	d.Hint, d.Remedy = hint(win.watch.rules, d, e), remedy(win.watch.rules, d, e)
	size := len(d.Path) + len(d.Hint) + len(d.Remedy.Pattern)
	if d.Verdict.Rule != policy.NoRule {
		size += len(win.watch.rules[d.Verdict.Rule].Pattern)
	}
	if win.bytes+size > maxBytes {
		win.more++
		return
	}
	win.bytes += size
	win.seen[k] = struct{}{}
	win.denials = append(win.denials, d)
}

func (win *window) end() (denials []policy.Denial, more uint64) {
	dropped := win.watch.sync()
	win.watch.mu.Lock()
	defer win.watch.mu.Unlock()
	if _, open := win.watch.open[win]; !open {
		return nil, 0
	}
	delete(win.watch.open, win)
	return win.denials, win.more + dropped - win.dropped
}

// sync waits for what has happened, and returns how much was ever dropped.
func (w *Watch) sync() uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), syncPatience)
	defer cancel()
	dropped, err := w.sandbox.Sync(ctx)
	if err != nil {
		w.log.Warn("cannot read what a sandbox was refused", "error", err)
	}
	return dropped
}
