package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a probe may take, beside the time of races.
const patience = 30 * time.Second

// probe is one way out.
type probe struct {
	name string
	run  func(w *world) answer
}

// probes returns all of them, in the order that they run in.
func probes() []probe {
	all := slices.Concat(nameProbes(), procProbes(), raceProbes(), oracleProbes(), kernelProbes(), socketProbes(), hostProbes())
	slices.SortStableFunc(all, func(a, b probe) int { return cmp.Compare(family(a.name), family(b.name)) })
	return all
}

func family(name string) string {
	f, _, _ := strings.Cut(name, "/")
	return f
}

// perform runs probes in this process.
func perform(w *world, names string) (int, error) {
	known := map[string]probe{}
	for _, p := range probes() {
		known[p.name] = p
	}
	for name := range strings.SplitSeq(names, ",") {
		p, ok := known[name]
		if !ok {
			return 2, fmt.Errorf("no probe is called %q", name)
		}
		fmt.Println(p.run(w).line(name))
	}
	return 0, nil
}

// performAll runs the probes in processes of their own, and prints the answers.
// What gets through unconfined changes the process that it is done in; where
// all are stopped, many can share one.
func performAll(w *world, match *regexp.Regexp, args []string) (map[string]answer, error) {
	var names []string
	for _, p := range probes() {
		if match.MatchString(p.name) {
			names = append(names, p.name)
		}
	}
	reports := map[string]answer{}
	for _, name := range names {
		if w.unconfined() {
			if err := restore(); err != nil {
				return nil, fmt.Errorf("cannot restore the workspace: %w", err)
			}
		}
		if _, done := reports[name]; !done && !w.unconfined() && !alone(name) {
			maps.Copy(reports, performTogether(w, names, name, args))
		}
		if _, done := reports[name]; !done {
			reports[name] = performChild(w, name, args)
			tidy()
		}
		fmt.Println(reports[name].line(name))
	}
	return reports, nil
}

// alone says that a probe ends its process, takes its time, or looks at what
// its process has become.
func alone(name string) bool {
	return family(name) == "race" || strings.Contains(name, "32") || name == "names/leaked-descriptors"
}

// performTogether runs what is left of a family from a probe on, and returns
// what was answered: all, unless one probe ended it.
func performTogether(w *world, names []string, from string, args []string) map[string]answer {
	var some []string
	for _, name := range names[slices.Index(names, from):] {
		if family(name) == family(from) && !alone(name) {
			some = append(some, name)
		}
	}
	out, _ := runChild(w, strings.Join(some, ","), args)
	tidy()
	answers := map[string]answer{}
	for line := range strings.Lines(out) {
		if name, a, ok := parseLine(strings.TrimSuffix(line, "\n")); ok {
			answers[name] = a
		}
	}
	return answers
}

func performChild(w *world, name string, args []string) answer {
	out, err := runChild(w, name, args)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == unix.SIGSYS {
			return blocked("SIGSYS")
		}
	}
	for line := range strings.Lines(out) {
		if found, a, ok := parseLine(strings.TrimSuffix(line, "\n")); ok && found == name {
			return a
		}
	}
	return broken("%v: %.200q", err, out)
}

// runChild runs probes in one process, for as long as they may take.
func runChild(w *world, names string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+w.race)
	defer cancel()
	c := exec.CommandContext(ctx, "/proc/self/exe", append(slices.Clone(args), "-probe", names)...)
	c.Dir = "/tmp"
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGKILL) }
	c.WaitDelay = time.Second
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), errors.Join(err, ctx.Err())
}

// tidy removes what probes leave behind where they can write.
func tidy() {
	for _, dir := range []string{"/tmp", "/dev/shm", "/home/agent", workspace + "/output"} {
		left, _ := filepath.Glob(dir + "/zoo-*")
		for _, path := range left {
			_ = os.RemoveAll(path)
		}
	}
}
