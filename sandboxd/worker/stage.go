package worker

import (
	"errors"
	"fmt"
	"syscall"
)

// Stage is one step of a worker's set-up.
type Stage string

// The stages, in their order.
const (
	StageSetup    Stage = "setup"    // receive and read the Setup
	StageMounts   Stage = "mounts"   // private file systems, workspace, overlay
	StagePlan     Stage = "plan"     // what may change, as bind mounts
	StagePivot    Stage = "pivot"    // enter the new root, drop the old one
	StageSystem   Stage = "system"   // host name, loopback, resource limits
	StageIdentity Stage = "identity" // user, capabilities, no_new_privs
	StageConfine  Stage = "confine"  // Landlock, seccomp
	StageServe    Stage = "serve"    // stage two
)

// StageError is why a worker ended before it could serve. It crosses the
// socket with its errno intact, so errors.Is(err, unix.EPERM) holds in the
// daemon too.
type StageError struct {
	Stage Stage
	// Item is the mount target, limit or call; never a host path or a secret.
	Item  string
	Errno syscall.Errno
	// Text is the message of an error that has no errno.
	Text string
}

func (e *StageError) Error() string {
	why := e.Text
	if e.Errno != 0 {
		why = e.Errno.Error()
	}
	return fmt.Sprintf("cannot set up sandbox: %s: %s: %s", e.Stage, e.Item, why)
}

func (e *StageError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// failed wraps err, or returns nil for nil.
func failed(s Stage, item string, err error) error {
	if err == nil {
		return nil
	}
	e := &StageError{Stage: s, Item: item}
	if !errors.As(err, &e.Errno) {
		e.Text = err.Error()
	}
	return e
}

// message turns any error into what the daemon is told.
func message(err error) *Failed {
	var e *StageError
	if !errors.As(err, &e) {
		return &Failed{Stage: string(StageServe), Text: err.Error()}
	}
	return &Failed{Stage: string(e.Stage), Item: e.Item, Errno: uint32(e.Errno), Text: e.Text}
}

// Err is the inverse: the error that a Failed message stands for.
func (m *Failed) Err() error {
	return &StageError{Stage: Stage(m.Stage), Item: m.Item, Errno: syscall.Errno(m.Errno), Text: m.Text}
}
