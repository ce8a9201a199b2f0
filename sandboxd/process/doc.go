// Package process keeps commands that outlive the call that started them.
//
// A [Process] is one command in the background, and a [Table] knows those of all
// sandboxes. What a process prints goes through its [Output]:
//
//	nobody reads    the newest bytes are kept, older ones dropped and counted
//	a client reads  nothing is dropped; when it is slow, the process waits
//
// One [Reader] at a time has an Output; the next one takes over, exactly where
// the one before has stopped.
//
// It promises that a process without a reader never waits for one; that the
// outputs of one owner together take a bounded amount of memory, however many
// processes there are; and that of a sandbox that has ended nothing is kept.
package process
