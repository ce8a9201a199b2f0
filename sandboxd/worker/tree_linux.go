package worker

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tree runs one command at a time as a child of this process, and reaps. What
// descends from the command comes back to this process when it is orphaned.
type tree struct {
	up *Conn // where Started and Exited go
	// adopted is told of every other child that ends.
	adopted func(pid int, status unix.WaitStatus)
	// emptied is called when the last child has ended after the command.
	emptied func()
	// spared are children that are nobody's tree.
	spared func() map[int]bool

	mu    sync.Mutex
	born  *sync.Cond // a child was started
	count uint64     // of children started
	empty bool       // this process has no child
	id    uint32     // of the command
	pid   int        // of the command; 0: none runs
	whole bool       // see Exec
	runs  uint64     // of commands started
	began time.Time
}

func newTree(up *Conn, adopted func(int, unix.WaitStatus), emptied func()) *tree {
	t := &tree{up: up, adopted: adopted, emptied: emptied, empty: true}
	t.spared = func() map[int]bool { return nil }
	t.born = sync.NewCond(&t.mu)
	return t
}

// start runs a command and answers it. It reports false, having done nothing,
// if something else still runs.
func (t *tree) start(m *Exec, files []int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pid != 0 || !t.empty {
		return false, nil
	}
	began := time.Now()
	pid, started := spawn(m, files)
	if pid != 0 {
		t.id, t.pid, t.began, t.whole = m.ID, pid, began, m.Whole
		t.runs++
		t.bear()
	}
	return true, t.up.Send(started)
}

// bear notes a new child; t.mu is held.
func (t *tree) bear() {
	t.count++
	t.empty = false
	t.born.Signal()
}

// adopt starts a child that is no command.
func (t *tree) adopt(start func() (pid int, err error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := start(); err != nil {
		return err
	}
	t.bear()
	return nil
}

// settle waits until a child that is being adopted is known.
func (t *tree) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
}

// command returns the pid of command id, or 0 if it does not run here.
func (t *tree) command(id uint32) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.id != id {
		return 0
	}
	return t.pid
}

// running returns the pid of the command, or 0 if none runs.
func (t *tree) running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pid
}

// reap waits for children for ever.
func (t *tree) reap() error {
	for {
		t.mu.Lock()
		for t.empty {
			t.born.Wait()
		}
		count := t.count
		t.mu.Unlock()
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err == unix.ECHILD:
			t.mu.Lock()
			emptied := t.count == count
			t.empty = emptied
			t.mu.Unlock()
			if emptied {
				t.emptied()
			}
		case err != nil:
			return err
		default:
			if err := t.ended(pid, status); err != nil {
				return err
			}
		}
	}
}

// endWith ends what descends from a command that is not to be outlived. What
// dies meanwhile is reaped afterwards.
func (t *tree) endWith(pid int) {
	t.mu.Lock()
	whole := pid == t.pid && t.whole
	t.mu.Unlock()
	if whole {
		killDescendants(t.spared, t.unchanged())
	}
}

// unchanged returns what reports whether no command has started since. One that
// starts finds nothing left of those before.
func (t *tree) unchanged() func() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	runs := t.runs
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.runs == runs
	}
}

// ended tells of a child's end.
func (t *tree) ended(pid int, status unix.WaitStatus) error {
	t.endWith(pid)
	t.mu.Lock()
	if pid != t.pid {
		t.mu.Unlock()
		t.adopted(pid, status)
		return nil
	}
	m := &Exited{ID: t.id, Status: uint32(status), Duration: int64(time.Since(t.began))}
	t.id, t.pid = 0, 0
	var others []int
	var ends []unix.WaitStatus
	for {
		var s unix.WaitStatus
		other, err := unix.Wait4(-1, &s, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if other <= 0 {
			t.empty = err == unix.ECHILD
			break
		}
		others, ends = append(others, other), append(ends, s)
	}
	m.Clean = t.empty
	err := t.up.Send(m)
	t.mu.Unlock()
	for i, other := range others {
		t.adopted(other, ends[i])
	}
	return err
}
