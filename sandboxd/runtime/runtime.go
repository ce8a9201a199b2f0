// Package runtime says what it takes to run a sandbox. Its implementations
// live in the packages below it.
//
// A [Runtime] turns a [Spec] into an [Instance]: processes that can be given
// commands until they end. It promises that an Instance that was returned is
// confined as the Spec says, and that after Close nothing of it is left but
// the delta in the Spec's directory.
package runtime

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/agentfense/agentfense/policy"
)

var (
	// ErrEnded is what calls on an Instance return once it has ended.
	ErrEnded = errors.New("sandbox has ended")
	// ErrTooManyExecs means that as many commands, and calls on files, are under
	// way in the sandbox as may be.
	ErrTooManyExecs = errors.New("too many commands and calls on files at once")
	// ErrListing means that a listing is longer than any may be.
	ErrListing = errors.New("too many entries, or too long names and targets, for one listing")
)

// Runtime starts sandboxes.
type Runtime interface {
	// Start returns once the sandbox accepts commands. On an error nothing is
	// left of it.
	Start(ctx context.Context, spec Spec) (Instance, error)
	// Close ends what is still running and frees what Start shares.
	Close() error
}

// Spec describes one sandbox.
type Spec struct {
	// ID names the sandbox in cgroups and logs.
	ID string
	// UID is the unprivileged user and group that everything inside runs as.
	UID uint32
	// Dir is the path of the sandbox's own state directory. It holds upper and
	// work, the directories of its overlay; both exist. Not used by read-only
	// plans.
	Dir string
	// Disk is the root of a detached mount to use in Dir's place, for deltas
	// with a limit; nil: none. It stays the caller's.
	Disk *os.File
	// Image is what the root of a container is made of; not of other runtimes.
	Image string
	// View is where the sandbox's view is mounted, in the daemon's namespace.
	View string
	// Plan says which places below /workspace can change.
	Plan policy.Plan
	// Limits bounds the sandbox as a whole.
	Limits Limits
	// Born, if set, is told the process that leads the sandbox, as the daemon
	// numbers it, before any command runs.
	Born func(pid int)
	// Groups names the seccomp groups that the filter allows.
	Groups []string
	// Lost names the losses, as package host does, that the sandbox starts
	// with. What is not here and cannot be enforced fails Start.
	Lost []string
}

// Limits bounds one sandbox. Zero means unlimited, but for Pids.
type Limits struct {
	// Memory is the hard cap in bytes, swap excluded; going over it kills a
	// process of the sandbox. Source: memory.max, memory.limit_in_bytes.
	Memory int64
	// CPUQuota is the CPU time in microseconds for each period of 100 ms.
	CPUQuota int64
	// CPUShares is the relative weight in cgroup v1 units; 1024 is normal.
	CPUShares int64
	// Pids caps processes and threads together; zero means DefaultPids.
	Pids int64
	// Disk is how many bytes the sandbox's delta may take, those of its file
	// system included; what goes over it fails with ENOSPC.
	Disk int64
	// OutputRate is how many bytes per second the output of all commands
	// together may have.
	OutputRate int64
	// Timeout is the longest that one command may run: what asks for no timeout
	// of its own, or for a longer one, gets this.
	Timeout time.Duration
}

// TimeoutOf returns what a command gets that asks for a timeout; zero asks for
// none, and means none.
func (l Limits) TimeoutOf(asked time.Duration) time.Duration {
	if asked == 0 || l.Timeout > 0 && l.Timeout < asked {
		return l.Timeout
	}
	return asked
}

// What a limit can be. A sandbox with less than the least cannot run a command;
// the kernel does not take more than the most.
const (
	MinMemory    = 4 << 20
	MinCPUQuota  = 1000           // one CPU for a hundredth of the time
	MaxCPUQuota  = 10_000_000_000 // 100,000 CPUs
	MinCPUShares = 2
	MaxCPUShares = 1 << 18
	MinPids      = 2
	MaxPids      = 1 << 22
)

// MaxCalls is how many calls a sandbox may leave unanswered, those included that
// nobody waits for any more.
const MaxCalls = 8192

// DefaultPids is the cap on processes and threads of a sandbox that asks for
// none of its own.
const DefaultPids = 4096

// Instance is one running sandbox.
type Instance interface {
	// Exec starts a command and returns once it runs. The files of c are
	// duplicated, and stay the caller's.
	Exec(ctx context.Context, c Command) (Process, error)
	Files
	// Done is closed when the sandbox has ended, by Close or by itself.
	Done() <-chan struct{}
	// Reason says why it ended; nil before that, and after Close.
	Reason() error
	// Close ends every process of the sandbox and frees its mounts and cgroups.
	Close(ctx context.Context) error
}

// Command is one program to run.
type Command struct {
	// Argv is the program, looked up in PATH if it has no slash, and its
	// arguments.
	Argv []string
	// Env is the whole environment, as KEY=value.
	Env []string
	// Dir is the working directory; empty means /workspace.
	Dir string
	// Stdin, Stdout and Stderr are the command's; nil means /dev/null.
	Stdin, Stdout, Stderr *os.File
	// Terminal, of this size, is instead of the three files above, and the
	// command's controlling terminal. Process.Terminal is its far side.
	Terminal *Size
	// Timeout is the time from execve to SIGKILL of the whole tree; zero
	// means no limit.
	Timeout time.Duration
	// Whole says that nothing of the command's tree outlives it: what descends
	// from it is killed before Wait returns.
	Whole bool
}

// Process is one running command.
type Process interface {
	// PID is the process id inside the sandbox.
	PID() int
	// Terminal is nil for a command without one. It is the caller's to close.
	Terminal() Terminal
	// Signal sends sig to the command's process group. What a terminal sends
	// when keys are pressed goes to its foreground process group instead.
	Signal(sig syscall.Signal) error
	// Kill sends SIGKILL to the command and everything that descends from it.
	Kill() error
	// Wait returns when the command has ended. Descendants may live on.
	Wait(ctx context.Context) (Status, error)
}

// Interrupter is a Process that can be interrupted, and so outlives what it is
// asked to do.
type Interrupter interface {
	// OOMKills counts how often the memory limit has killed a process of the
	// sandbox; 0 where that is not known.
	OOMKills() uint64
	// Began says that it has been asked for something.
	Began()
	// Interrupt does what i says and returns when it is done, or the command
	// has ended.
	Interrupt(ctx context.Context, i Interruption) error
}

// Interruption sends a signal to a command alone, then SIGKILL to what has come
// to its tree since some moment. Older processes and their descendants go on,
// and so does the command, if the signal does not end it.
type Interruption struct {
	Signal syscall.Signal
	// Since is the moment, on CLOCK_BOOTTIME.
	Since time.Duration
	// Mark is the last process id that was given out by then. It decides where
	// the start times of processes are too coarse to.
	Mark uint32
}

// Status is how a command ended.
type Status struct {
	// Code is the exit code; 128 + n after signal n.
	Code int
	// Signal ended the command; 0 if it exited by itself.
	Signal syscall.Signal
	// TimedOut says that Command.Timeout did it.
	TimedOut bool
	// OOM says that the sandbox's memory limit killed a process meanwhile.
	OOM bool
	// Duration is the time from execve to the end.
	Duration time.Duration
	// Denials are what the policy refused meanwhile. More counts failures that
	// are not told of.
	Denials []policy.Denial
	More    uint64
}

// ExecError is why a command could not be started. It unwraps to the errno:
// ENOENT (no such program), EACCES (not executable), ENOEXEC, E2BIG, ...
type ExecError struct {
	// Op is "exec" or "chdir".
	Op    string
	Path  string
	Errno syscall.Errno
}

func (e *ExecError) Error() string {
	return "cannot " + e.Op + " " + e.Path + ": " + e.Errno.Error()
}

func (e *ExecError) Unwrap() error { return e.Errno }
