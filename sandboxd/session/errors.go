package session

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound means that no session has this id, or has it any more.
	ErrNotFound = errors.New("no such session")
	// ErrShell means that this is no shell that sessions can have.
	ErrShell = errors.New("not a shell for sessions: it must be bash, sh, dash, ksh or zsh, by name or absolute path")
	// ErrSilent means that a new shell did not answer.
	ErrSilent = errors.New("the shell does not answer")
	// ErrStopped means that the registry is closed.
	ErrStopped = errors.New("the daemon is shutting down")

	errExited   = errors.New("the shell has exited")
	errProtocol = errors.New("the shell wrote too much, or nonsense, to its control socket")
	errTorn     = errors.New("the shell has read only a part of a command")
	errTimeout  = errors.New("the command took too long")
)

// ClosedError means that a session has ended.
type ClosedError struct {
	ID     string
	Reason string
}

func (e *ClosedError) Error() string {
	return fmt.Sprintf("session %s is closed: %s", e.ID, e.Reason)
}

// TimeoutError means that a command ran into its timeout and was interrupted.
type TimeoutError struct {
	Timeout time.Duration
	// Closed is why the session had to be closed; empty: it goes on.
	Closed string
}

func (e *TimeoutError) Error() string {
	s := fmt.Sprintf("the command took longer than %v and was interrupted", e.Timeout)
	if e.Closed != "" {
		s += "; the session is closed: " + e.Closed
	}
	return s
}
