package session

import (
	"fmt"
	"strconv"
	"strings"
)

// bash cannot catch an error that ends it, and no trap of it can leave the
// command that was interrupted. So its traps describe the state to the daemon
// and execute bash anew, which gets the state back: background jobs stay its
// children, and open files stay open.
//
//	250            the socket
//	251, 252, 253  standard output, error and input between commands: one that
//	               is interrupted may have redirected them for a loop
//
// An EXIT trap that finds the status 0 runs for a signal, for no error has that.
// Errors of expansions end bash -c with 127, and scripts with 1, as PIPESTATUS is.
//
// What it is told comes in frames, and read -N takes each with two system calls:
// a script on a socket would be read byte by byte. Nor would one on standard
// input do, since bash 5.2 dies of "exec 3<&0" in an eval in that. The first
// frame that begins with # sets it up; others before that were for the shell
// that has executed this one, and are lost with its command.
//
// Reads have TMOUT for a timeout unless there is another. In POSIX mode a trapped
// signal ends them with a status above 128. A break of a command outside of its
// loops leaves one of these, and then the next report comes, or both, which is as
// an error. The state is evaluated before the loops, which would keep it.
//
// An error of a command is one for set -e and for a trap of ERR, and that of the
// eval around it another, unless && follows; "builtin eval" keeps that from the
// command itself. What follows is a loop over nothing, which is never traced.
//
// Everything is called by "builtin", for functions may have any name. It does
// not go with exec where that redirects.
type bash struct{}

const bashLoader = `while builtin read -rN 19 __af_n||builtin exit;builtin read -rN "${__af_n% *}" __af_c;[[ $__af_c != \#* ]];do builtin :;done;builtin eval "$__af_c";builtin eval "$__af_l"`

const bashSetup = `#
builtin set +o posix
exec 250<&0 251>&1 252>&2 STDIN
__af_d() {
builtin local m=
case $2 in *[xv]*) builtin set +xv;; esac
builtin printf '\036KEY d %s %d %s\n' "${__af_n#* }" "$1" "$2" >&250
exec 251>&1
exec 253<&0
case ${TMOUT+t} in t) __af_t=-t99999999;; *) __af_t=-r;; esac
builtin read -ru249 m 249</proc/loadavg
builtin printf '\036KEY m %s %d\n' "${__af_n#* }" "${m##* }" >&250
}
__af_r() { builtin return "$1"; }
exit() { { __af_q=$?; builtin set +xv; } 2>/dev/null; builtin exit "${@:-$__af_q}"; }
__af_x() {
__af_s=$? __af_p=$PIPESTATUS
[[ $__af_s = 127 && $__af_p = 1 && $BASH_COMMAND != *(command )exec* ]] && __af_s=1
[[ $1 = e && ( -v __af_q || $__af_s = 0 ) ]] && builtin return "$__af_s"
builtin set +xv
builtin unset -v __af_c __af_p __af_q
{
builtin printf '\nKEY r %d\n' "$__af_s"
builtin declare -p
builtin declare -f
builtin declare -F
builtin alias -p
builtin shopt -p
builtin trap -p
builtin umask -p
builtin set +o
builtin printf '\nKEY .\n'
} >&250 2>/dev/null
builtin trap - EXIT
builtin shift
builtin exec -a "$0" "$BASH" --noprofile --norc -c 'LOADER' "$0" "$@" <&250 >&251 2>&252
}
builtin trap '__af_x e "$@"' EXIT
builtin trap '__af_x i "$@"' 64
STATE
__af_n='0 SEQ' __af_l='builtin unset -v __af_c __af_l __af_s BASH_EXECUTION_STRING
while [[ $__af_n ]]
do
while { __af_d "$?" "$-"; } 2>&250
exec 252>&2
until builtin read "$__af_t" -rN 19 -u250 __af_n || [[ $? -le 128 ]]; do builtin :; done
[[ $__af_n ]] && builtin read "$__af_t" -rN "${__af_n% *}" -u250 __af_c
do builtin eval "$__af_c" && for __af_c in; do builtin :; done
done
done
[[ $__af_n ]] && __af_x b "$@"
builtin trap - EXIT'
`

func (bash) argv(shell string) []string {
	return []string{shell, "--noprofile", "--norc", "-c", bashLoader, shell}
}

// replace makes a bash that reads a script one that reads frames.
func (bash) replace() string {
	return `exec -a "$0" "$BASH" --noprofile --norc -c '` + bashLoader + `' "$0"` + "\n"
}

func (b bash) setup(key string, seq uint32) string {
	return b.begin(key, seq, "253</dev/null 0<&253", "")
}

func (b bash) revive(key string, seq uint32, state string) string {
	return b.begin(key, seq, "0<&253", "builtin eval "+word(state)+" </dev/null >/dev/null 2>&1 || builtin :")
}

func (bash) begin(key string, seq uint32, stdin, state string) string {
	return frame(seq, strings.NewReplacer("KEY", key, "LOADER", bashLoader, "SEQ", strconv.FormatUint(uint64(seq), 10),
		"STDIN", stdin, "STATE", state).Replace(bashSetup))
}

func (bash) command(_ string, seq uint32, l line) string {
	return frame(seq, "builtin unset -v __af_c;"+l.status()+"builtin eval "+word(l.traced())+" && for __af_c in; do builtin :; done")
}

func (bash) probe(_ string, seq uint32) string { return frame(seq, "builtin :; builtin :") }

// frame is a text as bash reads it: its length and its number come first. It
// must be ASCII, for bash counts characters, of whatever locale.
func frame(seq uint32, text string) string { return fmt.Sprintf("%08d %010d%s", len(text), seq, text) }

// word makes one word of any text, in ASCII.
func word(s string) string {
	if strings.IndexFunc(s, unusual) < 0 {
		return quote(s)
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(s) {
		if c == '\'' || c == '\\' || unusual(rune(c)) {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + "'"
}

// unusual reports whether a character is not to be sent as it is.
func unusual(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f }
