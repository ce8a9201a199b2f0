package sandbox

import (
	"time"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// CommitMode says when changes reach the codebase.
type CommitMode uint8

// The commit modes.
const (
	// OnExec commits after every command; the last writer wins.
	OnExec CommitMode = iota + 1
	// Manual commits when asked, and never over somebody else's change.
	Manual
)

// Params is what a sandbox is made from.
type Params struct {
	CodebaseID string            `json:"codebase_id"`
	Owner      uint32            `json:"owner"`
	Rules      []policy.Rule     `json:"rules"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Expires is when the sandbox is destroyed; zero means never.
	Expires time.Time `json:"expires,omitzero"`
	// IdleTimeout is after how long without use it is destroyed; zero means
	// never.
	IdleTimeout time.Duration `json:"idle_timeout,omitempty"`
	// Runtime is what starts it: empty, or the name of one in Config.Others.
	Runtime string         `json:"runtime,omitempty"`
	Image   string         `json:"image,omitempty"`
	Limits  runtime.Limits `json:"limits"`
	// Shares and quota as the client gave them are in Limits.
	Mode CommitMode `json:"commit_mode"`
	// RequestID makes creation idempotent for its owner; empty: it is not.
	RequestID string `json:"request_id,omitempty"`
	Confinement
}

// Confinement is what a sandbox asks for beside its policy and limits.
type Confinement struct {
	// Groups are seccomp groups beside core and those of the policy.
	Groups []string `json:"seccomp_groups,omitempty"`
	// Accepted names losses that the sandbox may start with.
	Accepted []string `json:"accepted_losses,omitempty"`
	// Strict means to start with no other loss at all.
	Strict bool `json:"strict,omitempty"`
}

// Info is a sandbox at one moment. Its slices and maps are shared: they are
// not to be changed.
type Info struct {
	ID string `json:"id"`
	Params
	// UID is what everything in the sandbox runs as.
	UID uint32 `json:"uid"`
	// Bounded says that the delta lies on a disk of Limits.Disk bytes. With
	// that limit set, it is not so only where the loss was accepted.
	Bounded  bool        `json:"bounded,omitempty"`
	Snapshot tree.Digest `json:"-"`
	Status   Status      `json:"status"`
	// Reason says why it is in status Error, or why it stopped by itself.
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Stopped time.Time `json:"stopped,omitzero"`
}
