package sandbox

import (
	"errors"
	"fmt"

	"github.com/agentfense/agentfense/sandboxd/host"
)

var (
	// ErrNotFound means that no sandbox has this id, or has it any more.
	ErrNotFound = errors.New("no such sandbox")
	// ErrClosed means that the daemon is shutting down.
	ErrClosed = errors.New("the daemon is shutting down")
	// ErrCodebase means that the sandbox's codebase is gone.
	ErrCodebase = errors.New("the codebase is gone")
)

// StateError means that a call does not fit the sandbox's status.
type StateError struct {
	ID     string
	Status Status
	// Reason is why the sandbox is in that status, if that is known.
	Reason string
	// Startable says that a start is what is missing.
	Startable bool
}

func (e *StateError) Error() string {
	s := fmt.Sprintf("sandbox %s is %v", e.ID, e.Status)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Startable {
		s += "; start it first"
	}
	return s
}

// LimitError means that an owner has as many sandboxes as one may.
type LimitError struct {
	Name  string
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("limit %s of %d is reached; end one that is not needed", e.Name, e.Limit)
}

// LossError means that this host lacks what the sandbox asks for, and that the
// sandbox does not accept that.
type LossError struct{ host.Loss }

func (e *LossError) Error() string {
	return fmt.Sprintf("this host lacks %s: %s. To fix it, %s; or accept the loss by its name", e.Name, e.Consequence, e.Fix)
}

// PlanError means that the policy cannot be laid over the snapshot.
type PlanError struct{ Err error }

func (e *PlanError) Error() string { return fmt.Sprintf("cannot plan the policy: %v", e.Err) }
func (e *PlanError) Unwrap() error { return e.Err }

// StartError means that a sandbox could not be started; it is in status Error.
type StartError struct {
	ID  string
	Err error
}

func (e *StartError) Error() string { return fmt.Sprintf("cannot start %s: %v", e.ID, e.Err) }
func (e *StartError) Unwrap() error { return e.Err }
