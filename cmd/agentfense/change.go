package main

import (
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// changeJSON is one change in the output of diff and commit.
type changeJSON struct {
	pathJSON
	Operation string    `json:"operation"`
	Kind      string    `json:"kind"`
	Mode      uint32    `json:"mode"`
	Size      int64     `json:"size"`
	Shadowed  bool      `json:"shadowed"`
	Refused   bool      `json:"refused"`
	Rule      *ruleJSON `json:"rule"`
}

// ruleJSON is a rule in JSON, wherever one is named. Index counts from 0 in
// the list that the sandbox was made with; it is null in a list of rules.
type ruleJSON struct {
	Index    *int32 `json:"index,omitempty"`
	Pattern  string `json:"pattern"`
	Type     string `json:"type,omitempty"`
	Level    string `json:"level"`
	Priority int32  `json:"priority"`
	Preset   string `json:"preset"`
}

var operationNames = map[sandboxv1.Change_Operation]string{
	sandboxv1.Change_OPERATION_ADDED:    "added",
	sandboxv1.Change_OPERATION_MODIFIED: "modified",
	sandboxv1.Change_OPERATION_DELETED:  "deleted",
}

var operationLetters = map[sandboxv1.Change_Operation]string{
	sandboxv1.Change_OPERATION_ADDED:    "A",
	sandboxv1.Change_OPERATION_MODIFIED: "M",
	sandboxv1.Change_OPERATION_DELETED:  "D",
}

var kindNames = map[sandboxv1.TreeEntry_Kind]string{
	sandboxv1.TreeEntry_KIND_FILE:      "file",
	sandboxv1.TreeEntry_KIND_DIRECTORY: "directory",
	sandboxv1.TreeEntry_KIND_SYMLINK:   "symlink",
}

func newChanges(changes []*sandboxv1.Change) []changeJSON {
	out := make([]changeJSON, len(changes))
	for i, c := range changes {
		out[i] = changeJSON{
			pathJSON:  newPath(c.GetPath()),
			Operation: nameOf(operationNames, c.GetOperation()),
			Kind:      nameOf(kindNames, c.GetKind()),
			Mode:      c.GetMode(),
			Size:      c.GetSize(),
			Shadowed:  c.GetShadowed(),
			Refused:   c.GetRefused(),
			Rule:      newRuleRef(c.GetRule()),
		}
	}
	return out
}

func newRuleRef(r *sandboxv1.RuleRef) *ruleJSON {
	if r == nil {
		return nil
	}
	index := r.GetIndex()
	return &ruleJSON{
		Index: &index, Pattern: r.GetPattern(), Level: wireLevel(r.GetPermission()),
		Priority: r.GetPriority(), Preset: r.GetPreset(),
	}
}

// changeRows prints one change a line: letter, path, and why a commit leaves
// it out.
func changeRows(t *table, changes []*sandboxv1.Change) {
	for _, c := range changes {
		path := quoteName(string(c.GetPath()))
		if c.GetKind() == sandboxv1.TreeEntry_KIND_DIRECTORY && path != "/" {
			path += "/"
		}
		note := ""
		switch {
		case c.GetShadowed():
			note = "shadowed: the name is hidden, this file stays the sandbox's own"
		case c.GetRefused():
			note = "refused: " + describeRule(c.GetRule())
		}
		t.row(nameOf(operationLetters, c.GetOperation()), path, note)
	}
}
