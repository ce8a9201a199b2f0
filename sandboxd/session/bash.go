package session

import (
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
//
// Everything is called by "builtin", for functions may have any name. It does
// not go with exec where that redirects.
type bash struct{}

const bashSetup = `set +o posix
exec 250<&0 252>&2
__af_d() {
builtin local m=0
case $2 in *[xv]*) builtin set +xv;; esac
IFS=' ' builtin read -r _ _ _ _ m </proc/loadavg || m=0
builtin printf '\036KEY d %d %d %d %s\n' "$3" "$1" "$m" "$2" >&250
exec 251>&1 253<&0
}
__af_r() { builtin return "$1"; }
exit() { __af_q=$?; builtin exit "${@:-$__af_q}"; }
__af_x() {
__af_s=$?
[[ $1 = e && ( -v __af_q || $__af_s = 0 ) ]] && builtin return "$__af_s"
builtin set +xv
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
builtin exec -a "$0" "$BASH" --noprofile --norc -s -- "$@" <&250 >&251 2>&252
}
builtin trap '__af_x e "$@"' EXIT
builtin trap '__af_x i "$@"' 64
`

func (bash) argv(shell string) []string { return []string{shell, "--noprofile", "--norc", "-s"} }

func (b bash) setup(key string, seq uint32) string {
	return strings.ReplaceAll(bashSetup, "KEY", key) + "exec 253</dev/null\n" + b.probe(key, seq)
}

func (bash) report(code string, seq uint32) string {
	return `{ __af_d ` + code + ` "$-" ` + strconv.FormatUint(uint64(seq), 10) + `; } 2>/dev/null`
}

func (b bash) command(_ string, seq uint32, l line) string {
	return "exec 252>&2; { " + l.status() + "builtin eval " + quote(l.traced()) + "; " + b.report(`"$?"`, seq) + "; } <&253\n"
}

func (b bash) probe(_ string, seq uint32) string {
	return "builtin :; builtin :; " + b.report("0", seq) + " <&253\n"
}

func (b bash) revive(key string, seq uint32, state string) string {
	return strings.ReplaceAll(bashSetup, "KEY", key) +
		"builtin eval " + quote(state) + " </dev/null >/dev/null 2>&1 || builtin :\n" + b.probe(key, seq)
}
