// Command agentfense runs commands in sandboxes and manages what the daemon
// keeps.
//
// It promises that `agentfense run` removes the sandbox and the codebase that
// it made on every way out, signals included; that its exit code is the
// command's, with 124 to 127 set apart as coreutils' env and timeout do; and
// that no name that came from a codebase reaches a terminal unquoted.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of our own. A command ended by signal n gives 128 + n.
const (
	codeFailed        = 1   // a command other than run and exec failed
	codeUsage         = 2   // wrong arguments, other than to run and exec
	codeTimeout       = 124 // the command ran into --timeout
	codeOurs          = 125 // run or exec failed, not the command
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignalBase    = 128
)

// exitError ends the program with a code. With a nil err it is silent.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	// A reader that goes away must not end us before we have cleaned up: with
	// SIGPIPE caught, the write fails instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(os.Args[1:]))
}

// run is the whole program; it returns its exit code.
func run(args []string) int {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	code := codeFailed
	if runsCommand(cmd) {
		code = codeOurs
	}
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		code = exit.code
		if exit.err == nil {
			return code
		}
	case !runsCommand(cmd) && isUsage(err):
		code = codeUsage
	}
	a.complain(err)
	return code
}
