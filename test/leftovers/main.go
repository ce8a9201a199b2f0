// Command leftovers runs a command and proves that it left nothing behind on
// the machine.
//
//	leftovers COMMAND [ARGUMENT]...
//
// It ends with the command's exit code, or with 1 and the names of what is new
// if that is 0.
//
// Each kind of thing is one probe:
//
//	mount      any mount in our mount namespace
//	process    what the command started, whoever its parent is now
//	namespace  network namespaces, held by such a process or by a mount
//	cgroup     directories of ours, in every cgroup v1 and v2 hierarchy
//	fuse       FUSE connections
//	bpf        BPF programs
//	file       entries of ours in /tmp, /run, /var/tmp, /dev/shm and /var/lib,
//	           and everything in TMPDIR if that is not /tmp
//
// What is ending when the command ends has a few seconds to be gone. Other
// users see too little, so it must run as root. Mounts, FUSE connections and
// BPF programs that somebody else makes meanwhile are named too: nothing tells
// them apart.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long things that are ending may take.
const patience = 5 * time.Second

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: leftovers COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "leftovers: %v\n", err)
		os.Exit(max(code, 1))
	}
	fmt.Println("leftovers: none (no mount, process, namespace, cgroup, FUSE connection, BPF program or file)")
	os.Exit(code)
}

// run returns the command's exit code, and an error if something is left.
func run(argv []string) (int, error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("cannot see everything: run it as root")
	}
	// Orphans become our children, not init's.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("cannot adopt orphans: %w", err)
	}
	before, err := take()
	if err != nil {
		return 1, err
	}
	code, err := execute(argv)
	if err != nil {
		return 1, err
	}
	left, err := settle(before)
	if err != nil {
		return code, err
	}
	for _, l := range left {
		fmt.Println(l)
	}
	if len(left) > 0 {
		return code, fmt.Errorf("%d things left behind", len(left))
	}
	return code, nil
}

// execute leaves interruptions to the command, which shares our terminal.
func execute(argv []string) (int, error) {
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Reset()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// settle compares until nothing is left or patience ends.
func settle(before snapshot) ([]string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		reap()
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

// reap takes the exit codes of orphans that ended.
func reap() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
			return
		}
	}
}
