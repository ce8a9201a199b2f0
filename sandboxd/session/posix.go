package session

import (
	"cmp"
	"strconv"
)

// posix is what a POSIX shell understands. "command eval" catches the errors
// that would end it, and so those that the trap for the interrupt makes on
// purpose: they unwind the command, and nothing of the state is lost. One that
// comes before the command has begun is kept for it. An outer
// "command eval" catches those that come when the command has just ended. The
// socket is the script itself, and while a command runs it is closed to what
// the command starts.
type posix struct {
	options []string
	// echo writes reports; empty means the shell's own. That of ksh does not
	// write to a standard input that is a socket.
	echo string
}

const posixSetup = `__af_r() { return "$1"; }
command trap '{ case $__af_b in 1) : "${__af_i?}";; *) __af_p=1;; esac; } 2>/dev/null' 64 2>/dev/null
`

func (p posix) argv(shell string) []string {
	return append(append([]string{shell}, p.options...), "-s")
}

func (p posix) setup(key string, seq uint32) string { return posixSetup + p.probe(key, seq) }

func (p posix) report(key, code string, seq uint32) string {
	n := strconv.FormatUint(uint64(seq), 10)
	return `{ __af_b= __af_p= __af_s=` + code + ` __af_f=$-${BASH_VERSION:+@}; set +xv; ` +
		`IFS=' ' command read -r __af_m __af_m __af_m __af_m __af_m </proc/loadavg || __af_m=0; ` +
		cmp.Or(p.echo, "command echo") + ` "
` + key + ` m ` + n + ` $__af_m
` + key + ` d ` + n + ` $__af_s $__af_f" >&0; } 2>/dev/null` + "\n"
}

func (p posix) command(key string, seq uint32, l line) string {
	guarded := "__af_b=1\n{ case $__af_p in 1) : \"${__af_i?}\";; esac; } 2>/dev/null\n" + l.status() + "command eval " + quote(l.traced()) + " </dev/null\n{ __af_s=$? __af_b=; } 2>/dev/null"
	return "__af_s=2; command eval " + quote(guarded) + "\n" + p.report(key, "$__af_s", seq)
}

func (p posix) probe(key string, seq uint32) string { return ":\n:\n" + p.report(key, "0", seq) }

// revive is never needed: such a shell does not execute itself.
func (p posix) revive(key string, seq uint32, _ string) string { return p.setup(key, seq) }
