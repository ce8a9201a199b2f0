// Package view mounts views of snapshots and runs the processes that serve
// them.
//
// A [Manager] has one view for each snapshot, policy and owner; sandboxes that
// agree on these share it, and with it what the kernel has cached. A view is
// served by an unprivileged process of its own. The manager keeps no descriptor
// of its connection, so the end of that process is the end of the view: every
// access fails with ENOTCONN, and none hangs.
//
// Mounts are made in the mount namespace of the calling process, which must be
// private: a mount that propagates elsewhere keeps its process alive.
package view

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// ErrClosed is what Acquire returns once the manager is closed.
var ErrClosed = errors.New("view manager is closed")

// Store is where views come from. A view pins its snapshot.
type Store interface {
	ObjectsDir() *os.File
	Snapshot(tree.Digest) (*store.Snapshot, error)
}

// Config says how a Manager works.
type Config struct {
	// Binary is agentfense-view, open for reading. It stays the caller's.
	Binary *os.File
	// Dir is where views are mounted, each in a directory of its own. It is
	// made if it is missing, and nothing else may use it.
	Dir string
	// Store holds the snapshots.
	Store Store
	// UID and GID are what view processes run as. GID must be the group that
	// may read the store's objects. Neither may be 0.
	UID, GID uint32
	// Idle is how long a view stays mounted after its last Release.
	Idle time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Key names a view.
type Key struct {
	Snapshot tree.Digest
	Policy   *policy.Policy
	// UID owns all entries, and so does the group of the same number.
	UID uint32
}

// name is the key in the form of a file name.
func (k Key) name() string {
	digest := k.Policy.Digest()
	h := sha256.New()
	h.Write(k.Snapshot[:])
	h.Write(digest[:])
	h.Write(binary.BigEndian.AppendUint32(nil, k.UID))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Manager owns all views. It is safe for concurrent use.
type Manager struct {
	cfg    Config
	log    *slog.Logger
	timing timing
	life   context.Context // ends with Close
	end    context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	views    map[string]*instance // by Key.name
	mounts   uint64               // so far; makes directory names unique
	failures []error              // what could not be cleaned up
}

// NewManager returns a manager without views.
func NewManager(cfg Config) *Manager {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{cfg: cfg, log: log, timing: usual, views: map[string]*instance{}}
	m.life, m.end = context.WithCancel(context.Background())
	if err := removeStale(cfg.Dir); err != nil {
		log.Warn("mount points of an earlier process are left", "err", err)
	}
	return m
}

// View is one caller's hold on a view.
type View struct {
	m       *Manager
	of      *instance
	release sync.Once
}

// Path returns where the view is mounted.
func (v *View) Path() string { return v.of.path }

// Done is closed when the process that serves the view has ended.
func (v *View) Done() <-chan struct{} { return v.of.ended }

// Release gives the view back. Only the first call counts.
func (v *View) Release() { v.release.Do(func() { v.m.release(v.of) }) }

// Acquire returns the view of a key and mounts it if need be. Callers that ask
// for the same key at once get the same one. A view whose process has ended is
// replaced.
func (m *Manager) Acquire(ctx context.Context, key Key) (*View, error) {
	i, err := m.claim(key)
	if err != nil {
		return nil, err
	}
	select {
	case <-i.ready:
	case <-ctx.Done():
		m.release(i)
		return nil, fmt.Errorf("cannot wait for view: %w", ctx.Err())
	}
	if i.err != nil {
		m.release(i)
		return nil, fmt.Errorf("cannot start view: %w", i.err)
	}
	return &View{m: m, of: i}, nil
}

// claim counts one more user of a key's instance.
func (m *Manager) claim(key Key) (*instance, error) {
	name := key.name()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	i := m.views[name]
	if i == nil || i.over() {
		m.mounts++
		i = newInstance(m, key, name, m.mounts)
		m.views[name] = i
		m.work.Go(i.run)
	}
	i.users++
	if i.idle != nil {
		i.idle.Stop()
		i.idle = nil
	}
	return i, nil
}

func (m *Manager) release(i *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i.users--; i.users > 0 || m.closed || i.over() {
		return
	}
	i.idle = time.AfterFunc(m.cfg.Idle, func() { m.expire(i) })
}

// expire ends an instance that nobody has claimed since it became idle.
func (m *Manager) expire(i *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i.users == 0 {
		i.stop() // from now on claim starts another
	}
}

// forget lets go of an instance that is over.
func (m *Manager) forget(i *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.views[i.name] == i {
		delete(m.views, i.name)
	}
}

// Close ends all views, in use or not, and waits until nothing is left of
// them. The error says what is left nevertheless.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	for _, i := range m.views {
		if i.idle != nil {
			i.idle.Stop()
			i.idle = nil
		}
	}
	m.mu.Unlock()
	m.end()
	m.work.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(m.failures...)
}

func (m *Manager) failed(err error) {
	m.log.Error("view was not cleaned up", "err", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = append(m.failures, err)
}
