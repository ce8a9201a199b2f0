// Package audit joins what the kernel tells of a sandbox with the policy that
// the sandbox runs under.
//
// A [Recorder] watches sandboxes with package ebpf. While a window is open, what
// its sandbox tries and does not get is judged: a [policy.Denial] is a failed
// operation on a path for which the policy is the reason, with the rule that
// decided and a hint how to allow it.
//
// It promises that a window that has ended holds every denial of what happened
// while it was open, or says how many it leaves out: at most [MaxDenials] are
// kept, and the kernel tells at most a fixed number of failures for each window.
// A path is what the program asked for: links in it are not followed. What two
// commands of one sandbox do at the same time is in the windows of both.
package audit
