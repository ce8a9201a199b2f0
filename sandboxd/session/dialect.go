package session

import (
	"path"
	"strconv"
	"strings"
)

// interruptSignal makes a shell give up its command. No shell and hardly a
// program uses it for anything.
const interruptSignal = 64

// dialect is how one kind of shell is spoken to. Its texts end with a newline,
// and all but the first line of setup make the shell send a report with the
// number seq.
type dialect interface {
	argv(shell string) []string
	setup(key string, seq uint32) string
	command(key string, seq uint32, c line) string
	// probe does nothing, at some length, so that a signal that came before it
	// is handled before the report.
	probe(key string, seq uint32) string
	// revive is setup for a shell that has executed itself anew.
	revive(key string, seq uint32, state string) string
}

// line is one command and what it is to find.
type line struct {
	text string
	// code is the exit code of the command before.
	code int
	// flags is the value of $- after the command before.
	flags string
}

var dialects = map[string]dialect{
	"bash": bash{},
	"sh":   posix{},
	"dash": posix{},
	"ksh":  posix{echo: "/bin/echo"},
	"zsh":  posix{options: []string{"-f", "-o", "posixbuiltins"}},
}

// dialectOf returns how to speak to a shell, or ErrShell.
func dialectOf(shell string) (dialect, error) {
	d, ok := dialects[path.Base(shell)]
	if !ok || strings.Contains(shell, "/") && !path.IsAbs(shell) {
		return nil, ErrShell
	}
	return d, nil
}

// quote makes one word of any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// traced returns a command that has xtrace and verbose set again if they were
// set: reports clear them, so that what is not the command's is not traced.
func (l line) traced() string {
	text := l.text
	if strings.Contains(l.flags, "v") {
		text = "set -v;" + text
	}
	if strings.Contains(l.flags, "x") {
		text = "set -x;" + text
	}
	return text
}

// status makes the shell find the code of the command before in $?.
func (l line) status() string {
	if l.code == 0 {
		return ""
	}
	return "__af_r " + strconv.Itoa(l.code) + " || "
}
