package api

import (
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// wireExit says how a command ended.
func wireExit(status runtime.Status, rules []policy.Rule) *sandboxv1.ExecExit {
	return &sandboxv1.ExecExit{
		ExitCode: int32(status.Code), Signal: int32(status.Signal),
		Duration: durationpb.New(status.Duration), OomKilled: status.OOM,
		Denials: wireDenials(status.Denials, rules), DenialsOmitted: int64(status.More),
	}
}

func wireDenials(denials []policy.Denial, rules []policy.Rule) []*sandboxv1.Denial {
	var wire []*sandboxv1.Denial
	for _, d := range denials {
		w := &sandboxv1.Denial{
			Operation: d.Operation, Path: []byte(d.Path), Rule: wireRule(d.Verdict, rules), Hint: valid(d.Hint),
		}
		// A pattern is text: a path that is none has no rule of its own.
		if r := d.Remedy; r.Pattern != "" && utf8.ValidString(r.Pattern) {
			w.Remedy = wireRules([]policy.Rule{r})[0]
		}
		wire = append(wire, w)
	}
	return wire
}
