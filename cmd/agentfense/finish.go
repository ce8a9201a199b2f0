package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// finish turns the end of a command into our exit code.
func (a *app) finish(exit *sandboxv1.ExecExit, verbose bool) error {
	if verbose {
		for _, d := range exit.GetDenials() {
			fmt.Fprintf(a.stderr, "agentfense: refused %s %s (%s): %s\n",
				printable(d.GetOperation()), quoteName(string(d.GetPath())), describeRule(d.GetRule()), printable(d.GetHint()))
		}
		if n := exit.GetDenialsOmitted(); n > 0 {
			fmt.Fprintf(a.stderr, "agentfense: %d more failed operations are not listed\n", n)
		}
	}
	if exit.GetOomKilled() {
		fmt.Fprintln(a.stderr, "agentfense: the command went over the memory limit")
	}
	code := int(exit.GetExitCode())
	if s := exit.GetSignal(); s != 0 {
		code = codeSignalBase + int(s)
	}
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// commandError gives a command that could not run, or not to its end, the exit
// code that a shell would.
func commandError(err error, timeout string) error {
	var out *outputError
	var left *leftError
	switch {
	case errors.As(err, &left):
		return &exitError{code: left.code}
	case errors.As(err, &out) && errors.Is(err, syscall.EPIPE):
		return &exitError{code: codeSignalBase + int(syscall.SIGPIPE)}
	case reasonOf(err) == "COMMAND_TIMEOUT":
		if timeout == "" {
			return &exitError{code: codeTimeout, err: errors.New("the command ran out of time")}
		}
		return &exitError{code: codeTimeout, err: fmt.Errorf("the command ran out of time (--timeout %s)", timeout)}
	case reasonOf(err) == "COMMAND_NOT_FOUND":
		return &exitError{code: codeNotFound, err: err}
	case reasonOf(err) == "COMMAND_NOT_EXECUTABLE":
		return &exitError{code: codeNotExecutable, err: err}
	}
	return err
}

// removeRun removes the sandbox and the codebase of a run. Without a sandbox
// id, one may have been made by a call whose answer was lost.
func removeRun(ctx context.Context, c *client, codebase, sandbox string) error {
	if codebase == "" {
		return nil
	}
	ids := []string{sandbox}
	if sandbox == "" {
		ids = ids[:0]
		list, err := c.sandboxes.ListSandboxes(ctx, &sandboxv1.ListSandboxesRequest{CodebaseId: codebase})
		if err != nil && !hasCode(err, codes.NotFound) {
			return fmt.Errorf("cannot remove what codebase %s was made for: %w", codebase, err)
		}
		for _, sb := range list.GetSandboxes() {
			ids = append(ids, sb.GetId())
		}
	}
	var errs []error
	for _, id := range ids {
		_, err := c.sandboxes.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: id})
		if err != nil && !hasCode(err, codes.NotFound) {
			errs = append(errs, fmt.Errorf("cannot remove sandbox %s: %w", id, err))
		}
	}
	_, err := c.codebases.DeleteCodebase(ctx, &sandboxv1.DeleteCodebaseRequest{CodebaseId: codebase})
	if err != nil && !hasCode(err, codes.NotFound) {
		errs = append(errs, fmt.Errorf("cannot remove codebase %s: %w", codebase, err))
	}
	return errors.Join(errs...)
}
