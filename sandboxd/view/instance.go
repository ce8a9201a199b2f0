package view

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/view/handover"
)

// timing is how patient a manager is.
type timing struct {
	start time.Duration // for a process to get ready
	ping  time.Duration // between pings
	pong  time.Duration // for the answer
	stuck int           // pings in a row with work to do and none done
	grace time.Duration // for a process to end by itself, then by SIGKILL
}

var usual = timing{
	start: 20 * time.Second, ping: 10 * time.Second, pong: 15 * time.Second,
	stuck: 6, grace: 2 * time.Second,
}

// instance is one mounted view and its process.
type instance struct {
	m    *Manager
	key  Key
	name string // in Manager.views
	path string

	// users and idle are guarded by Manager.mu.
	users int
	idle  *time.Timer

	ready    chan struct{} // closed when started or failed
	err      error         // why it failed; set before ready is closed
	pid      int           // of the process; set before ready is closed
	ended    chan struct{} // closed when the process has ended
	stopping chan struct{}
	stopOnce sync.Once
}

func newInstance(m *Manager, key Key, name string, number uint64) *instance {
	return &instance{
		m: m, key: key, name: name,
		path:  filepath.Join(m.cfg.Dir, fmt.Sprintf("%s.%d", name, number)),
		ready: make(chan struct{}), ended: make(chan struct{}), stopping: make(chan struct{}),
	}
}

// stop asks run to end the instance.
func (i *instance) stop() { i.stopOnce.Do(func() { close(i.stopping) }) }

// over reports whether the instance cannot be used any more.
func (i *instance) over() bool {
	return isClosed(i.ended) || isClosed(i.stopping) || (isClosed(i.ready) && i.err != nil)
}

// run is the instance's whole life.
func (i *instance) run() {
	begun := time.Now()
	log := i.m.log.With("view", filepath.Base(i.path))
	p, release, err := i.start(log)
	if i.err = err; err != nil {
		i.m.forget(i)
		close(i.ready)
		return
	}
	defer release()
	i.pid = p.pid()
	log.Debug("view is mounted", "pid", i.pid, "took", time.Since(begun))
	close(i.ready)
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		i.watch(p, log)
	}()
	select {
	case <-i.ended:
		log.Warn("view process ended", "status", p.status())
	case <-i.stopping:
	case <-i.m.life.Done():
	}
	i.m.forget(i)
	i.cleanUp(p)
	<-watch
}

// start mounts the view and returns once it is served. release unpins the
// snapshot.
func (i *instance) start(log logger) (_ *process, release func(), err error) {
	snapshot, err := i.m.cfg.Store.Snapshot(i.key.Snapshot)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			snapshot.Close()
		}
	}()
	device, err := mount(i.m.cfg.Dir, filepath.Base(i.path))
	if err != nil {
		return nil, nil, err
	}
	p, err := i.spawn(device, snapshot.File())
	if err == nil {
		err = i.awaitReady(p, log)
	}
	if err != nil {
		i.cleanUp(p)
		return nil, nil, err
	}
	return p, func() { snapshot.Close() }, nil
}

// awaitReady returns when the process serves.
func (i *instance) awaitReady(p *process, log logger) error {
	p.deadline(i.m.timing.start)
	defer context.AfterFunc(i.m.life, func() { p.deadline(0) })()
	for {
		m, err := p.receive()
		switch {
		case err != nil && i.m.life.Err() != nil:
			return ErrClosed
		case err != nil:
			return fmt.Errorf("view process does not get ready: %w", err)
		case m.Kind == handover.Failed:
			return fmt.Errorf("view process: %w", errors.New(m.Text))
		case m.Kind == handover.Ready:
			if m.Landlock == 0 {
				log.Warn("kernel has no Landlock to confine the view process")
			}
			return nil
		}
	}
}

// cleanUp leaves no mount, process or directory. p is nil if none was started.
func (i *instance) cleanUp(p *process) {
	err := unmount(i.path)
	if p != nil {
		err = errors.Join(err, p.finish(i.m.timing.grace))
	}
	if err = errors.Join(err, removeDir(i.path)); err != nil {
		i.m.failed(fmt.Errorf("cannot clean up %s: %w", i.path, err))
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
