// Package host says what this machine can enforce.
//
// [Losses] is the protection that it lacks, as the daemon reports it and
// decides by; [Look] goes further and checks all that a daemon and its
// sandboxes need, for a person to read. Both use the same probes, so they
// cannot disagree.
//
// It promises that a look changes nothing, needs no rights, though it sees
// more as root, and links no cgo: the command line uses it without a daemon.
//
// # States of a check
//
//	Ok        nothing is lost
//	Degraded  sandboxes run, and something that they may ask for is lost
//	Missing   no sandbox runs, or only one that accepts the loss by name
package host
