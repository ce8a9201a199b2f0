package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// help is what copies of zoo do that probes start.
func help(task string) (int, error) {
	task, target, _ := strings.Cut(task, ":")
	switch task {
	case "nothing":
		return 0, nil
	case "sleep":
		time.Sleep(patience)
		return 0, nil
	case "wait":
		_, err := io.Copy(io.Discard, os.Stdin)
		return 0, err
	case "neighbour":
		return 0, neighbour()
	case "swap":
		return 0, swap(in("output"), in("vault"), in("shown"), "/proc/1/root", target)
	case "crash":
		limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		if unix.Setrlimit(unix.RLIMIT_CORE, &limit) != nil {
			_ = unix.Getrlimit(unix.RLIMIT_CORE, &limit)
			_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
		}
		lockThread()
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
		_, _ = call(unix.SYS_RT_SIGACTION, uintptr(unix.SIGABRT), newArena().zeros(64), 0, 8)
		_ = unix.Kill(os.Getpid(), unix.SIGABRT)
		time.Sleep(time.Second)
		return 1, nil
	case "privileges":
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return 1, err
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "Uid:") || strings.HasPrefix(line, "Gid:") || strings.HasPrefix(line, "CapEff:") {
				fmt.Print(strings.Join(strings.Fields(line), " "), " ")
			}
		}
		return 0, nil
	}
	return 2, fmt.Errorf("no helper is called %q", task)
}
