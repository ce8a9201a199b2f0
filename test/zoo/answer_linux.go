package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Verdicts. Broken is no answer, and never expected.
const (
	Blocked = "BLOCKED"
	Leak    = "LEAK"
	None    = "N/A"
	Broken  = "BROKEN"
)

// answer is what a probe found.
type answer struct {
	verdict string
	errno   string // what stopped it; "-" if nothing did
	detail  string
}

func (a answer) line(name string) string {
	return strings.TrimRight(strings.Join([]string{name, a.verdict, a.errno, strings.ReplaceAll(a.detail, "\n", " ")}, " "), " ")
}

func parseLine(line string) (string, answer, bool) {
	f := strings.SplitN(line, " ", 4)
	if len(f) < 3 || !slices.Contains([]string{Blocked, Leak, None, Broken}, f[1]) {
		return "", answer{}, false
	}
	a := answer{verdict: f[1], errno: f[2]}
	if len(f) == 4 {
		a.detail = f[3]
	}
	return f[0], a, true
}

func leak(format string, args ...any) answer {
	return answer{Leak, "-", fmt.Sprintf(format, args...)}
}

func none(format string, args ...any) answer {
	return answer{None, "-", fmt.Sprintf(format, args...)}
}

func broken(format string, args ...any) answer {
	return answer{Broken, "-", fmt.Sprintf(format, args...)}
}

// blocked says what stopped a probe: an errno, or a word.
func blocked(word string) answer { return answer{Blocked, word, ""} }

// judge makes an answer of how an attack went: without an error it leaked.
func judge(err error, format string, args ...any) answer {
	if err == nil {
		return leak(format, args...)
	}
	if errors.Is(err, errNotReached) {
		return blocked("own")
	}
	return blocked(errnoName(err))
}

// errNotReached means that a call worked, on something harmless.
var errNotReached = errors.New("reached only what is the sandbox's own")

func errnoName(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return strings.ReplaceAll(err.Error(), " ", "_")
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return fmt.Sprintf("errno%d", errno)
}

// each makes several attempts: it answers with the first that was not blocked,
// else with all that stopped them.
func each[T any](things []T, attempt func(T) answer) answer {
	var stops []string
	for _, t := range things {
		a := attempt(t)
		if a.verdict != Blocked {
			return a
		}
		stops = append(stops, strings.Split(a.errno, "/")...)
	}
	slices.Sort(stops)
	return blocked(strings.Join(slices.Compact(stops), "/"))
}
