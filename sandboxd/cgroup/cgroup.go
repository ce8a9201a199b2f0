// Package cgroup bounds what sandboxes take of the machine.
//
// A [Tree] is one daemon's part of the cgroup hierarchy, a [Group] one
// sandbox's. The package drives cgroup v2, and v1 where v2 has no controllers,
// through the same calls. It promises that a limit that was accepted is in
// force: what the kernel lacks a controller for is a [*MissingError].
//
// Groups lie at /agentfense/NAME/ID in each hierarchy that is used. Only the
// controllers that a sandbox's limits need are used for it, and that of cpu, so
// that a sandbox with many processes takes no more time than one with few, and
// one that is always busy goes last; see [Tree.Run].
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// parent holds the groups of every daemon of the machine.
const parent = "agentfense"

// normalShares is what a sandbox gets that asks for no shares: as much as every
// other one, however many processes each has. Where there is no cpu controller
// it goes without.
const normalShares = 1024

// All sandboxes of the machine together have the weight of one process that is
// nicer by 5 than the rest of it. Between groups nice values count for nothing.
const (
	parentShares = 335 // of v1; 1024 is usual
	parentWeight = 33  // of v2; 100 is usual
)

// cpuPeriod is the period that CPUQuota refers to, in microseconds.
const cpuPeriod = 100_000

// MissingError is a limit that the kernel cannot enforce.
type MissingError struct {
	// Controller is the name of the cgroup controller, such as "memory".
	Controller string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("cannot enforce the limit: the kernel has no %q cgroup controller enabled", e.Controller)
}

// Group is one sandbox's place in the hierarchy.
type Group interface {
	// Dir is the group's directory, for CLONE_INTO_CGROUP; nil on v1.
	Dir() *os.File
	// Tasks are the files by which a thread enters the group on v1: it writes
	// "0" to each. Moving a process that already runs, on either version, stops
	// every fork of the machine for a grace period, which takes 10 ms.
	Tasks() []*os.File
	// OOMKills is how many processes the memory limit has killed.
	OOMKills() (uint64, error)
	// Began says that a command begins in the group. One that was asked for
	// something lately does not yield; see [Tree.Run].
	Began()
	// Hurry says that something in the group is being ended; it does not yield for
	// so long.
	Hurry(time.Duration)
	// Delete closes the files and removes the group, whose processes have ended.
	Delete() error
}

// bounds is a [Group] that does not know of the others.
type bounds interface {
	Dir() *os.File
	Tasks() []*os.File
	OOMKills() (uint64, error)
	Delete() error
}

// driver is one version of the kernel's interface.
type driver interface {
	// create makes a group; shares of zero are the normal ones.
	create(path string, l runtime.Limits) (bounds, error)
	// cpu is how a group of so many shares uses the CPUs; nil: nothing bounds
	// that.
	cpu(path string, shares int64) *cpu
	// all is cpu of the groups' parent.
	all() *cpu
	// list returns the names of the groups directly below path.
	list(path string) ([]string, error)
	// kill ends the processes of a group that this process did not make, and
	// removes it.
	kill(path string) error
	remove(path string) error
}

// Tree is the groups of one daemon.
type Tree struct {
	path    string
	driver  driver
	yielder yielder
}

// Open returns the tree called name, which no other daemon may use.
func Open(name string) (*Tree, error) {
	d, err := probe()
	if err != nil {
		return nil, err
	}
	t := &Tree{path: "/" + parent + "/" + name, driver: d}
	t.yielder = yielder{machine: procStat{}, all: d.all(), members: map[*member]struct{}{}}
	return t, nil
}

// New makes a group for the sandbox id. Limits that are zero are not set, pids
// included: that a sandbox has one is the runtime's business.
func (t *Tree) New(id string, l runtime.Limits) (Group, error) {
	path, shares := t.path+"/"+id, l.CPUShares
	if shares == 0 {
		shares = normalShares
	}
	g, err := t.driver.create(path, l)
	if err == nil && t.yielder.all != nil {
		if err = t.yielder.all.weigh(); err != nil { // it may be new: the last daemon that ends removes it
			err = errors.Join(err, g.Delete())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make cgroup of %s: %w", id, err)
	}
	return t.yielder.add(g, t.driver.cpu(path, shares)), nil
}

// Run lets groups that keep the CPUs busy go last where CPUs are short, until
// ctx ends: behind groups that do not, or in which something has just begun.
// While the machine has not much else to do, all groups together go behind the
// rest of it, which is the daemon and its clients. Without Run, or after an
// error, each group has its share at all times.
func (t *Tree) Run(ctx context.Context) error {
	if t.yielder.all == nil {
		return &MissingError{Controller: "cpu"}
	}
	return t.yielder.run(ctx)
}

// Sweep ends what a predecessor of the same name left: every process in its
// groups, and the groups. It returns their names.
func (t *Tree) Sweep() ([]string, error) {
	ids, err := t.driver.list(t.path)
	if err != nil {
		return nil, fmt.Errorf("cannot list cgroups: %w", err)
	}
	var errs []error
	for _, id := range ids {
		if err := t.driver.kill(t.path + "/" + id); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove cgroup of %s: %w", id, err))
		}
	}
	return ids, errors.Join(errs...)
}

// Close removes the tree, whose groups have been deleted.
func (t *Tree) Close() error {
	if err := t.driver.remove(t.path); err != nil {
		return fmt.Errorf("cannot remove cgroup %s: %w", t.path, err)
	}
	_ = t.driver.remove("/" + parent) // in use while another daemon runs
	return nil
}

// retry calls f until it succeeds, for a while: the kernel lets go of a group a
// moment after its last process ended.
func retry(f func() error) error {
	err := f()
	for wait := time.Millisecond; err != nil && wait < time.Second; wait *= 2 {
		time.Sleep(wait)
		err = f()
	}
	return err
}
