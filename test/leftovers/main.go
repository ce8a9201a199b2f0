// Command leftovers proves that a run left nothing behind on the machine.
//
//	leftovers snapshot FILE   before the run
//	leftovers compare FILE    after it; fails and names what is new
//
// Each kind of thing is one probe:
//
//	mount      any mount in our mount namespace
//	process    our programs, and whatever runs in namespaces of its own
//	namespace  network namespaces, held by a process, a descriptor or a mount
//	cgroup     directories of ours, in every cgroup v1 and v2 hierarchy
//	fuse       FUSE connections
//	bpf        BPF programs
//	file       entries of ours in /tmp, /run, /var/tmp, /dev/shm and /var/lib,
//	           and everything in TMPDIR if that is not /tmp
//
// What is ending when compare starts has a few seconds to be gone. Run it as
// root: other users see too little, so compare refuses.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// patience is how long compare waits for things that are ending.
const patience = 5 * time.Second

func main() {
	if len(os.Args) != 3 || (os.Args[1] != "snapshot" && os.Args[1] != "compare") {
		fmt.Fprintln(os.Stderr, "usage: leftovers snapshot|compare FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "leftovers: %v\n", err)
		os.Exit(1)
	}
}

func run(verb, file string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot see everything: run it as root")
	}
	if verb == "snapshot" {
		now, err := take()
		if err != nil {
			return err
		}
		data, err := json.Marshal(now)
		if err != nil {
			return err
		}
		return os.WriteFile(file, data, 0o600)
	}
	before, err := load(file)
	if err != nil {
		return err
	}
	left, err := settle(before)
	if err != nil {
		return err
	}
	for _, l := range left {
		fmt.Println(l)
	}
	if len(left) > 0 {
		return fmt.Errorf("%d things left behind", len(left))
	}
	fmt.Println("leftovers: none (no mount, process, namespace, cgroup, FUSE connection, BPF program or file)")
	return nil
}

func load(file string) (snapshot, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("cannot read the snapshot %s: %w", file, err)
	}
	return s, nil
}

// settle compares until nothing is left or patience ends.
func settle(before snapshot) ([]string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		now, err := take()
		if err != nil {
			return nil, err
		}
		left := now.since(before)
		if len(left) == 0 || time.Now().After(deadline) {
			return left, nil
		}
	}
}
