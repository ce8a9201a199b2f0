package api

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/runtime/docker"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// Each table is read in both directions.
var (
	levels = map[sandboxv1.Permission]policy.Level{
		sandboxv1.Permission_PERMISSION_NONE:  policy.None,
		sandboxv1.Permission_PERMISSION_VIEW:  policy.View,
		sandboxv1.Permission_PERMISSION_READ:  policy.Read,
		sandboxv1.Permission_PERMISSION_WRITE: policy.Write,
	}
	patternTypes = map[sandboxv1.PatternType]policy.PatternType{
		sandboxv1.PatternType_PATTERN_TYPE_GLOB:      policy.Glob,
		sandboxv1.PatternType_PATTERN_TYPE_DIRECTORY: policy.Directory,
		sandboxv1.PatternType_PATTERN_TYPE_FILE:      policy.File,
	}
	statuses = map[sandboxv1.SandboxStatus]sandbox.Status{
		sandboxv1.SandboxStatus_SANDBOX_STATUS_PENDING: sandbox.Pending,
		sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING: sandbox.Running,
		sandboxv1.SandboxStatus_SANDBOX_STATUS_STOPPED: sandbox.Stopped,
		sandboxv1.SandboxStatus_SANDBOX_STATUS_ERROR:   sandbox.Error,
	}
	commitModes = map[sandboxv1.CommitMode]sandbox.CommitMode{
		sandboxv1.CommitMode_COMMIT_MODE_ON_EXEC: sandbox.OnExec,
		sandboxv1.CommitMode_COMMIT_MODE_MANUAL:  sandbox.Manual,
	}
	kinds = map[sandboxv1.TreeEntry_Kind]tree.Kind{
		sandboxv1.TreeEntry_KIND_FILE:      tree.File,
		sandboxv1.TreeEntry_KIND_DIRECTORY: tree.Dir,
		sandboxv1.TreeEntry_KIND_SYMLINK:   tree.Symlink,
	}
)

// wireOf finds the wire's word for a value of ours; zero means unspecified.
func wireOf[W, O comparable](table map[W]O, value O) W {
	for w, o := range table {
		if o == value {
			return w
		}
	}
	var none W
	return none
}

// rulesOf returns the rules of a request. Compile checks the rest.
func rulesOf(wire []*sandboxv1.PermissionRule) ([]policy.Rule, error) {
	rules := make([]policy.Rule, len(wire))
	for i, w := range wire {
		level, ok := levels[w.GetPermission()]
		if !ok {
			return nil, &policy.RuleError{Index: i, Pattern: w.GetPattern(), Reason: fmt.Sprintf("permission %v is not a level", w.GetPermission())}
		}
		kind := policy.Glob
		if w.GetType() != sandboxv1.PatternType_PATTERN_TYPE_UNSPECIFIED {
			if kind, ok = patternTypes[w.GetType()]; !ok {
				return nil, &policy.RuleError{Index: i, Pattern: w.GetPattern(), Reason: fmt.Sprintf("%v is not a pattern type", w.GetType())}
			}
		}
		rules[i] = policy.Rule{Pattern: w.GetPattern(), Type: kind, Level: level, Priority: w.GetPriority(), Preset: w.GetPreset()}
	}
	return rules, nil
}

func wireRules(rules []policy.Rule) []*sandboxv1.PermissionRule {
	wire := make([]*sandboxv1.PermissionRule, len(rules))
	for i, r := range rules {
		wire[i] = &sandboxv1.PermissionRule{
			Pattern: r.Pattern, Type: wireOf(patternTypes, r.Type), Permission: wireOf(levels, r.Level),
			Priority: r.Priority, Preset: r.Preset,
		}
	}
	return wire
}

// wireRule names the rule behind a verdict; nil where none matched.
func wireRule(v policy.Verdict, rules []policy.Rule) *sandboxv1.RuleRef {
	if v.Rule < 0 || v.Rule >= len(rules) {
		return nil
	}
	r := rules[v.Rule]
	return &sandboxv1.RuleRef{
		Index: int32(v.Rule), Pattern: r.Pattern, Permission: wireOf(levels, r.Level),
		Priority: r.Priority, Preset: r.Preset,
	}
}

func (s *Server) wireSandbox(i sandbox.Info) *sandboxv1.Sandbox {
	w := &sandboxv1.Sandbox{
		Id:           i.ID,
		CodebaseId:   i.CodebaseID,
		Permissions:  wireRules(i.Rules),
		Status:       wireOf(statuses, i.Status),
		Labels:       i.Labels,
		CreatedAt:    stamp(i.Created),
		StartedAt:    stamp(i.Started),
		StoppedAt:    stamp(i.Stopped),
		ExpiresAt:    stamp(i.Expires),
		Runtime:      wireRuntime(i.Runtime),
		Image:        i.Image,
		Resources:    s.wireLimits(i.Limits),
		CommitMode:   wireOf(commitModes, i.Mode),
		StatusReason: clip(i.Reason, maxMessage),
		Losses:       wireLosses(s.cfg.Sandboxes.Losses(i.Params)),

		SeccompGroups:  i.Groups,
		AcceptedLosses: i.Accepted,
		Strict:         i.Strict,
	}
	if i.IdleTimeout > 0 {
		w.IdleTimeout = durationpb.New(i.IdleTimeout)
	}
	if !i.Snapshot.IsZero() {
		w.Snapshot = i.Snapshot.String()
	}
	return w
}

func wireRuntime(name string) sandboxv1.RuntimeType {
	if name == docker.Name {
		return sandboxv1.RuntimeType_RUNTIME_TYPE_DOCKER
	}
	return sandboxv1.RuntimeType_RUNTIME_TYPE_BWRAP
}

func wireLosses(losses []host.Loss) []*sandboxv1.Loss {
	wire := make([]*sandboxv1.Loss, len(losses))
	for i, l := range losses {
		wire[i] = &sandboxv1.Loss{Name: l.Name, Consequence: l.Consequence, Fix: l.Fix}
	}
	return wire
}

func (s *Server) wireLimits(l runtime.Limits) *sandboxv1.ResourceLimits {
	if l == (runtime.Limits{}) {
		return nil
	}
	w := &sandboxv1.ResourceLimits{
		MemoryBytes: l.Memory, CpuQuota: l.CPUQuota, CpuShares: l.CPUShares, PidsLimit: l.Pids, DiskBytes: l.Disk,
	}
	if l.OutputRate > 0 { // the daemon's limit may be lower than when it was asked for
		w.OutputRate = s.cfg.Sandboxes.OutputRate(l.OutputRate)
	}
	if l.Timeout > 0 {
		w.Timeout = durationpb.New(l.Timeout)
	}
	return w
}

func wireCodebase(c store.Codebase) *sandboxv1.Codebase {
	w := &sandboxv1.Codebase{
		Id: c.ID, Name: c.Name, OwnerId: c.OwnerID, Size: c.Size, FileCount: int32(c.Files),
		CreatedAt: stamp(c.Created), UpdatedAt: stamp(c.Updated),
	}
	if !c.Head.IsZero() {
		w.Head = c.Head.String()
	}
	if c.IdleTimeout > 0 {
		w.IdleTimeout = durationpb.New(c.IdleTimeout)
	}
	return w
}

// wireFile describes one file; p is relative to the root.
func wireFile(p string, mode uint32, isDir bool, size, mtime int64, target string) *sandboxv1.FileInfo {
	w := &sandboxv1.FileInfo{
		Path: valid(p), Name: valid(base(p)), IsDir: isDir, Size: size,
		PathBytes: []byte(p), Mode: mode & 0o777,
	}
	if mtime != 0 {
		w.ModifiedAt = timestamppb.New(time.Unix(0, mtime))
	}
	if target != "" {
		w.SymlinkTarget = []byte(target)
	}
	return w
}
