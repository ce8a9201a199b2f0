package worker

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killPatience bounds the hunt for a tree that forks faster than it dies.
	killPatience = 2 * time.Second
	killPause    = 2 * time.Millisecond
)

// hunt kills what victims returns until that is nothing.
func hunt(victims func() []int) {
	for deadline := time.Now().Add(killPatience); time.Now().Before(deadline); time.Sleep(killPause) {
		found := victims()
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by now
		}
	}
}

// killDescendants ends all that descends from this process, but for spared
// children and what descends from them. It gives up when what is here is no
// longer what was to be killed.
func killDescendants(spared func() map[int]bool, still func() bool) {
	hunt(func() []int {
		children := family()
		// Asked after the look, so that no child in it was spared too late.
		victims := descendants(os.Getpid(), children, spared())
		if !still() {
			return nil
		}
		return victims
	})
}

// process is one living process.
type process struct {
	pid   int
	start int64 // clock ticks since the host's start
}

// family returns the living processes by their parents.
func family() map[int][]process {
	children := map[int][]process{}
	for _, pid := range processes() {
		parent, start, alive := statOf(pid)
		if alive {
			children[parent] = append(children[parent], process{pid, start})
		}
	}
	return children
}

// descendants returns what descends from root.
func descendants(root int, children map[int][]process, spared map[int]bool) []int {
	var found []int
	for next := []int{root}; len(next) > 0; {
		pid := next[len(next)-1]
		next = next[:len(next)-1]
		for _, child := range children[pid] {
			if !spared[child.pid] {
				found = append(found, child.pid)
				next = append(next, child.pid)
			}
		}
	}
	return found
}

func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what was read before an error counts
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// statOf reads /proc/PID/stat: the state, the parent and, further on, the
// number of threads and the start time follow the command's name, which is in
// parentheses and may hold any character. A zombie is alive while it has other
// threads.
func statOf(pid int) (parent int, start int64, alive bool) {
	const state, ppid, threads, starttime = 0, 1, 17, 19
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= starttime {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(fields[ppid])
	n, _ := strconv.Atoi(fields[threads])
	start, _ = strconv.ParseInt(fields[starttime], 10, 64)
	return parent, start, err == nil && (fields[state] != "Z" || n > 1)
}
