package ingest

import (
	"strings"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// names are those of one file in a manifest.
type names struct {
	paths []string
	count uint64 // of the file, also elsewhere
}

func (m *manifest) link(e Entry) {
	f := m.links[e.Link]
	if f == nil {
		f = &names{}
		m.links[e.Link] = f
	}
	f.paths = append(f.paths, e.Path)
	f.count = max(f.count, e.Links)
}

// leaveOutLinks leaves out files that are hidden by another name. A file is also
// left out if it has names that are not in the manifest, while there is a
// directory that could not be listed.
func (m *manifest) leaveOutLinks(c *choice, p *policy.Policy, out map[tree.Node]Reason) {
	for _, f := range m.links {
		if p == nil || !f.hidden(p) && (len(m.locked) == 0 || f.count <= uint64(len(f.paths))) {
			continue
		}
		for _, path := range f.paths {
			if n, ok := m.tree.Lookup(path); ok && c.in[n] {
				c.in[n], out[n] = false, HardLinkToHidden
			}
		}
	}
}

func (f *names) hidden(p *policy.Policy) bool {
	for _, path := range f.paths {
		if p.Decide("/"+strings.TrimPrefix(path, "/")).Level == policy.None {
			return true
		}
	}
	return false
}
