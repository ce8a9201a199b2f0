package sandbox

import (
	"sync"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// maxPlans is how many plans are remembered: a thousand sandboxes of one
// codebase and policy walk its tree once.
const maxPlans = 64

type planKey struct {
	snapshot tree.Digest
	policy   [32]byte
}

// planCache remembers plans. Its zero value is ready to use.
type planCache struct {
	mu    sync.Mutex
	plans map[planKey]policy.Plan
	order []planKey // oldest first
}

// plan returns the plan of a policy for a snapshot.
func (c *planCache) plan(pol *policy.Policy, snap *store.Snapshot) (policy.Plan, error) {
	key := planKey{snap.Digest(), pol.Digest()}
	c.mu.Lock()
	plan, ok := c.plans[key]
	c.mu.Unlock()
	if ok {
		return plan, nil
	}
	plan, err := pol.Plan(snap.Tree())
	if err != nil {
		return plan, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.plans[key]; ok {
		return plan, nil
	}
	if c.plans == nil {
		c.plans = make(map[planKey]policy.Plan)
	}
	if len(c.order) == maxPlans {
		delete(c.plans, c.order[0])
		c.order = c.order[1:]
	}
	c.plans[key] = plan
	c.order = append(c.order, key)
	return plan, nil
}
