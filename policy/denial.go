package policy

// Denial is one refusal by a policy.
type Denial struct {
	// Operation is what was tried: "open", "write", "create", ...
	Operation string
	// Path is relative to the codebase, with a leading slash.
	Path string
	// Verdict holds the level of the path and the rule that gave it.
	Verdict Verdict
	// Hint is one line that says how to allow it.
	Hint string
	// Remedy is a rule that allows it; without a pattern there is none.
	Remedy Rule
}
