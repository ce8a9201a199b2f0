package worker

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of process start times: USER_HZ is 100 everywhere.
const clockTick = 10 * time.Millisecond

// interrupt does what m says beside the caller and answers it. It reports false
// if the command does not run here.
func (t *tree) interrupt(m *Interrupt) bool {
	pid := t.command(m.ID)
	if pid == 0 {
		return false
	}
	go func() {
		// First the signal: the command must know before it learns that
		// something it waits for has ended.
		_ = unix.Kill(pid, unix.Signal(m.Number)) // it may have ended by now
		_ = unix.Kill(pid, unix.SIGCONT)
		t.killSince(pid, m)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.id == m.ID { // nothing is said about a command after its end
			_ = t.up.Send(&Interrupted{ID: m.ID}) // a broken socket ends receive as well
		}
	}()
	return true
}

// killSince ends what descends from this process and is newer than m says, as
// long as the command runs: then all that is here is of its tree.
func (t *tree) killSince(command int, m *Interrupt) {
	hunt(func() []int {
		children := family()
		victims := newer(os.Getpid(), command, children, t.spared(), m)
		if t.command(m.ID) == 0 {
			return nil
		}
		return victims
	})
}

// newer returns what descends from root, without the command and spared
// children, and without older processes and what descends from these.
func newer(root, command int, children map[int][]process, spared map[int]bool, m *Interrupt) []int {
	tick := m.Since / int64(clockTick)
	var found []int
	for next := []int{root}; len(next) > 0; {
		pid := next[len(next)-1]
		next = next[:len(next)-1]
		for _, p := range children[pid] {
			switch {
			case spared[p.pid]:
			case p.pid == command:
				next = append(next, p.pid)
			case p.start > tick, p.start == tick && p.pid > int(m.Mark):
				found = append(found, p.pid)
				next = append(next, p.pid)
			}
		}
	}
	return found
}
