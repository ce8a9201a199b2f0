// Package session keeps shells that last from command to command.
//
// A [Session] is one shell in a running sandbox. [Session.Exec] gives it one
// command after the other, in the order of the calls, and says for each what it
// wrote while it ran and how it ended. A [Registry] holds the sessions.
//
// It promises that where a command ends is never read from what it writes: the
// shell says so through a socket of its own. A command that takes too long is
// interrupted with all that it started; the shell, its state and what earlier
// commands left running stay. A session ends with its shell, with its sandbox,
// or when nobody uses it, and then nothing of it is left.
//
// # The socket
//
// The shell reads its commands from one end of a socket, and writes reports to
// it that begin with a random key, so that nothing is taken for one by accident.
// The payload owns its shell: it can write there whatever it likes, and harms
// only its own session. What is read is bounded, numbers in it are only used to
// choose among the session's own processes, and nothing waits for it that cannot
// be ended.
//
// # Shells
//
//	bash       state survives errexit, nounset errors and interrupts: the shell
//	           describes it, executes itself anew and gets it back
//	sh, dash   errors and interrupts are caught in place; errexit ends it
//	ksh, zsh   as sh, but more errors end it, and an interrupt too where signal
//	           64 has no trap
package session
