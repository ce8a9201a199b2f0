package api

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestARemedyIsSentWhereAPatternCanNameThePath(t *testing.T) {
	for pattern, sent := range map[string]bool{"/a/**": true, "/\xff": false, "": false} {
		d := policy.Denial{Operation: "open", Path: "/x", Verdict: policy.Verdict{Rule: policy.NoRule}}
		d.Remedy = policy.Rule{Pattern: pattern, Level: policy.Write, Priority: 7}
		answer := &sandboxv1.ExecResult{Denials: wireDenials([]policy.Denial{d}, nil)}
		if _, err := proto.Marshal(answer); err != nil {
			t.Errorf("with the remedy %q the answer cannot be sent: %v", pattern, err)
		}
		got := answer.GetDenials()[0].GetRemedy()
		if (got != nil) != sent || sent && (got.GetPattern() != pattern || got.GetPermission() != sandboxv1.Permission_PERMISSION_WRITE || got.GetPriority() != 7) {
			t.Errorf("the remedy %q is sent as %v", pattern, got)
		}
	}
}
