//go:build root

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// term is a session, as tests use it.
type term struct {
	*box
	t  *testing.T
	id string
}

// session opens a session in a sandbox.
func (b *box) session(t *testing.T, req *sandboxv1.CreateSessionRequest) *term {
	t.Helper()
	s, err := b.CreateSession(ctxOf(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return &term{b, t, s.GetId()}
}

func (s *term) try(command string, timeout time.Duration) (*sandboxv1.ExecResult, error) {
	req := &sandboxv1.SessionExecRequest{SessionId: s.id, Command: command}
	if timeout > 0 {
		req.Timeout = durationpb.New(timeout)
	}
	return s.SessionExec(ctxOf(s.t), req)
}

func (s *term) exec(command string) *sandboxv1.ExecResult {
	s.t.Helper()
	res, err := s.try(command, 20*time.Second)
	if err != nil {
		s.t.Fatalf("%.200q: %v", command, err)
	}
	return res
}

func (s *term) info() *sandboxv1.Session {
	s.t.Helper()
	info, err := s.GetSession(ctxOf(s.t), &sandboxv1.GetSessionRequest{SessionId: s.id})
	if err != nil {
		s.t.Fatal(err)
	}
	return info
}

// want is what one command of a session comes to. An empty stderr must be
// empty, another one must be contained.
type want struct {
	command        string
	stdout, stderr string
	code           int32
}

func (s *term) check(steps ...want) {
	s.t.Helper()
	for _, w := range steps {
		res := s.exec(w.command)
		if res.GetStdout() != w.stdout || res.GetExitCode() != w.code ||
			!strings.Contains(res.GetStderr(), w.stderr) || w.stderr == "" && res.GetStderr() != "" {
			s.t.Errorf("%.200q: code %d, stdout %.200q, stderr %.200q; want %d, %.200q, %.200q",
				w.command, res.GetExitCode(), res.GetStdout(), res.GetStderr(), w.code, w.stdout, w.stderr)
		}
	}
}

// sessionSteps are commands in one session each, for every kind of shell.
var sessionSteps = map[string][]want{
	"the directory, variables and functions last": {
		{command: "cd src && export A=1; B='x y'; f() { echo f$1; }"},
		{command: `pwd; echo "$A|$B"; f 2; env | grep ^A=`, stdout: "/workspace/src\n1|x y\nf2\nA=1\n"},
	},
	"a sourced file acts on the session": {
		{command: "echo 'cd /tmp; V=7; g() { echo g; }' > /tmp/activate; . /tmp/activate"},
		{command: "pwd; echo $V; g", stdout: "/tmp\n7\ng\n"},
	},
	"background jobs last": {
		{command: "sleep 300 & echo $! > /tmp/pid; true"},
		{command: "kill -0 $(cat /tmp/pid) && echo alive", stdout: "alive\n"},
		{command: "kill $(cat /tmp/pid); wait 2>/dev/null; kill -0 $(cat /tmp/pid) 2>/dev/null || echo gone", stdout: "gone\n"},
	},
	"stdout and stderr are apart and exact": {
		{command: "printf out; printf err >&2; exit_() { return 7; }; exit_", stdout: "out", stderr: "err", code: 7},
		{command: "printf 'no newline'", stdout: "no newline"},
		{command: "printf '\\n\\n'", stdout: "\n\n"},
	},
	"the exit code of the command before is in $?": {
		{command: "false", code: 1},
		{command: "echo $?", stdout: "1\n"},
		{command: "(exit 200)", code: 200},
		{command: "echo $?", stdout: "200\n"},
		{command: "echo $?", stdout: "0\n"},
	},
	"an unbalanced quote is a syntax error": {
		{command: `echo "`, stderr: "eval", code: 2},
		{command: "echo 'it is", stderr: "eval", code: 2},
		{command: "if true", stderr: "yntax error", code: 2},
		{command: "done )", stderr: "yntax error", code: 2},
		{command: "echo fine", stdout: "fine\n"},
	},
	"an unset variable under set -u ends the command": {
		{command: "X=kept; set -u; echo $NOPE; echo no", stderr: "NOPE", code: 1},
		{command: "echo $X; echo ${NOPE:-default}; set +u", stdout: "kept\ndefault\n"},
		{command: "echo ${NOPE:?is needed}; echo no", stderr: "is needed", code: 1},
		{command: "echo $X", stdout: "kept\n"},
	},
	"redirections by exec last": {
		{command: "exec 3>/tmp/three"},
		{command: "echo three >&3; exec 3>&-; cat /tmp/three", stdout: "three\n"},
		{command: "exec 5>&1 >/tmp/out; echo one"},
		{command: "echo two; printf end"},
		{command: "exec >&5 5>&-; cat /tmp/out", stdout: "one\ntwo\nend"},
		{command: "exec 2>/tmp/err; nosuchcommand", code: 127},
		{command: "grep -c nosuchcommand /tmp/err", stdout: "1\n"},
	},
	"standard input is at its end": {
		{command: "cat; wc -c; read x; echo \"$?<$x>\"", stdout: "0\n1<>\n"},
		{command: "while read line; do echo $line; done; echo done", stdout: "done\n"},
	},
	"comments, here documents, trailing backslashes": {
		{command: "echo a # b", stdout: "a\n"},
		{command: "# only a comment"},
		{command: "cat <<E\nx $((1+1))\nE", stdout: "x 2\n"},
		{command: "cat <<'E'\n$x '\nE\n", stdout: "$x '\n"},
		{command: "echo a \\\n b", stdout: "a b\n"},
		{command: "echo a\necho b\n\n", stdout: "a\nb\n"},
		{command: "\n\n"},
		{command: "echo it\\'s 'a b' \"c'd\"", stdout: "it's a b c'd\n"},
	},
	"what imitates a report is output": {
		{command: "for i in 1 2 3; do echo \"d $i 0 99 e\"; echo \"r 0\"; echo .; done | wc -l", stdout: "9\n"},
		{command: "echo 'd 7 3 5 hB' >&2; echo still", stdout: "still\n", stderr: "d 7 3 5 hB\n"},
	},
	"printf, echo, read and test may be anybody's": {
		{command: "printf() { :; }; echo() { :; }; read() { :; }; test() { :; }"},
		{command: "printf no; false", code: 1},
		{command: "unset -f printf echo read test; printf yes", stdout: "yes"},
	},
	"tracing shows the command alone": {
		{command: "set -x"},
		{command: "echo hi", stdout: "hi\n", stderr: "+ echo hi\n"},
		{command: "set +x 2>/dev/null; echo quiet", stdout: "quiet\n", stderr: "set +x"},
		{command: "echo quiet", stdout: "quiet\n"},
	},
	"positional parameters and umask last": {
		{command: "set -- a 'b c'; umask 077"},
		{command: "echo $# \"$2\"; umask", stdout: "2 b c\n0077\n"},
	},
	"a program that is missing": {
		{command: "nosuchprogram", stderr: "not found", code: 127},
		{command: "cd /nosuchdir || echo no", stdout: "no\n", stderr: "nosuchdir"},
	},
	"any bytes are a command's": {
		{command: "echo 'gr\u00fc\u00dfe \u4f60\u597d' \\\\ \"it's\"", stdout: "gr\u00fc\u00dfe \u4f60\u597d \\ it's\n"},
		{command: "printf %s 'a\x01b\x7fc'; (exit 3)", stdout: "a\x01b\x7fc", code: 3},
		{command: "echo \u4f60 $?", stdout: "\u4f60 3\n"},
	},
	"standard input can be copied": {
		{command: "exec 3<&0; cat <&3; { cat; } 4<&0; echo on", stdout: "on\n"},
		{command: "cat 4<&0 <&3; exec 3<&-; echo on", stdout: "on\n"},
	},
	"a program that a signal ends": {
		{command: "sh -c 'kill -9 $$'", stderr: "Killed", code: 137},
		{command: "echo on", stdout: "on\n"},
	},
}

// bashSteps are what only bash can do, or does in its own way.
var bashSteps = map[string][]want{
	"set -e ends the command and keeps the state": {
		{command: "X=1; declare -a L=(1 '2 3'); declare -A M=([k]='v w'); h() { echo h; }; set -e; cd src; alias q=echo; shopt -s nullglob; trap 'echo usr' USR1; umask 027"},
		{command: "echo before; false; echo after", stdout: "before\n", code: 1},
		{
			command: `echo $X "${L[1]}" "${M[k]}"; h; pwd; alias q; shopt -q nullglob && echo glob; umask; case $- in *e*) echo e;; esac`,
			stdout:  "1 2 3 v w\nh\n/workspace/src\nalias q='echo'\nglob\n0027\ne\n",
		},
		{command: "kill -USR1 $$", stdout: "usr\n"},
		{command: "(exit 9); echo after", code: 9},
		{command: "set +e; false; echo after", stdout: "after\n"},
	},
	"background jobs outlive set -e": {
		{command: "sleep 300 & echo $! > /tmp/job"},
		{command: "set -e; false", code: 1},
		{command: "kill -0 $(cat /tmp/job) && echo alive; kill $(cat /tmp/job)", stdout: "alive\n"},
	},
	"eval, trap, set and exit may be anybody's": {
		{command: "eval() { echo eval; }; trap() { echo trap; }; set() { echo set; }; exit() { echo exit; }; local() { :; }; return() { :; }"},
		{command: "eval x; trap; set; exit; printf '%s' z", stdout: "eval\ntrap\nset\nexit\nz"},
	},
	"standard input can be redirected for good": {
		{command: "printf 'one\\ntwo\\n' > /tmp/in; exec </tmp/in"},
		{command: "read a; echo $a", stdout: "one\n"},
		{command: "read a; echo $a; exec </dev/null", stdout: "two\n"},
		{command: "cat"},
	},
	"streams can be closed": {
		{command: "exec 7>&1; exec >&-"},
		{command: "true"},
		{command: "exec >&7; echo back", stdout: "back\n"},
		{command: "exec <&-; true"},
		{command: "echo on", stdout: "on\n"},
	},
	"a trap for ERR sees one error": {
		{command: "trap 'echo err' ERR; false", stdout: "err\n", code: 1},
		{command: "false", stdout: "err\n", code: 1},
		{command: "(exit 9); echo on", stdout: "err\non\n"},
		{command: "echo 'unbalanced", stderr: "eval", code: 2},
	},
	"an error that is no error under set -e ends nothing": {
		{command: "set -e; X=1; ! true; echo $$ > /tmp/was", code: 0},
		{command: "! true", code: 1},
		{command: "false || ! true", code: 1},
		{command: "[[ $(cat /tmp/was) = $$ ]] && case $- in *e*) echo same;; esac", stdout: "same\n"},
	},
	"tracing shows nothing of ours": {
		{command: "exec 2>/tmp/trace; set -x"},
		{command: "(exit 9)", code: 9},
		{command: "f() { exit; }; (false; f)", code: 1},
		{command: "set +x; grep -c -e __af -e builtin /tmp/trace; grep -c exit /tmp/trace", stdout: "0\n2\n"},
	},
	"break and continue leave no loop of ours": {
		{command: "X=kept; break"},
		{command: "echo $X; continue 2", stdout: "kept\n"},
		{command: "for i in 1 2 3; do break 9; done"},
		{command: "echo $X", stdout: "kept\n"},
		{command: "f() { break 2>/dev/null; echo f; }; while f; do continue 7; done", stdout: "f\n"},
	},
	"what ends a shell has the code that it has in scripts": {
		{command: "set -u; nosuchcommand; echo $NOPE", stderr: "NOPE", code: 1},
		{command: "set -eu; nosuchcommand", stderr: "not found", code: 127},
		{command: "true || echo; echo ${NOPE?}", stderr: "NOPE", code: 1},
		{command: "false || exec nosuchcommand", stderr: "not found", code: 127},
	},
	"a timeout of reads is the commands'": {
		{command: "TMOUT=0.001; sleep 0.1 & wait"},
		{command: "read x < <(sleep 9); echo $?", stdout: "142\n"},
		{command: "readonly TMOUT; sleep 0.01"},
		{command: "echo on", stdout: "on\n"},
	},
	"a command stays nowhere": {
		{command: "set -a; X=1 # " + strings.Repeat("long ", 60_000)},
		{command: "env | grep -c long; set | grep -c 'long  *long'", stdout: "0\n0\n", code: 1},
		{command: "set -eu; echo $NOPE", stderr: "NOPE", code: 1},
		{command: "echo $X; set +e; set | grep -c 'long  *long'", stdout: "1\n0\n", code: 1},
	},
	"readonly variables and exported functions survive": {
		{command: "readonly R=1; declare -ix N=5; e() { echo e; }; export -f e; set -u; echo $NOPE", stderr: "NOPE", code: 1},
		{command: "R=2", stderr: "readonly", code: 1},
		{command: "N=2+2; echo $N; bash -c e", stdout: "4\ne\n"},
	},
}

func TestSession(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(map[string]string{"src/a": "a"}), CommitMode: manual, Permissions: reading()})
	b.run(sb, "mkdir /tmp/as; ln -s /bin/bash /tmp/as/sh")
	for _, shell := range []string{"bash", "sh", "/tmp/as/sh"} {
		for name, steps := range sessionSteps {
			t.Run(shell+"/"+name, func(t *testing.T) {
				s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
				for _, w := range steps {
					if shell == "sh" && (w.stderr == "NOPE" || w.stderr == "is needed") {
						w.code = 2 // as dash has it
					}
					s.check(w)
				}
				b.drop(t, s)
			})
		}
	}
	for name, steps := range bashSteps {
		t.Run("bash/"+name, func(t *testing.T) {
			s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb})
			s.check(steps...)
			b.drop(t, s)
		})
	}
	if got := b.run(sb, "pgrep -c 'sleep|bash|dash' || true"); got != "1\n" { // that command's own
		t.Errorf("%s processes are left, want 1", strings.TrimSpace(got))
	}
}

func (b *box) drop(t *testing.T, s *term) {
	t.Helper()
	if _, err := b.DestroySession(ctxOf(t), &sandboxv1.DestroySessionRequest{SessionId: s.id}); err != nil {
		t.Error(err)
	}
	_, err := s.try("true", 0)
	wantError(t, err, codes.NotFound, "SESSION_NOT_FOUND")
}

func TestSessionOutputIsExact(t *testing.T) {
	b := newBox(t)
	sb := b.sandbox(&sandboxv1.CreateSandboxRequest{CodebaseId: b.codebase(nil)})
	for _, shell := range []string{"bash", "sh"} {
		s := b.session(t, &sandboxv1.CreateSessionRequest{SandboxId: sb, Shell: shell})
		if res := s.exec("head -c 3000000 /dev/zero; head -c 70000 /dev/zero >&2"); len(res.GetStdout()) != 640<<10 || !res.GetStdoutTruncated() || len(res.GetStderr()) != 70000 || res.GetStderrTruncated() {
			t.Errorf("%s: kept %d and %d bytes", shell, len(res.GetStdout()), len(res.GetStderr()))
		}
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		if res := s.exec("for i in 0 1 2 3; do for j in 0 1 2 3 4 5 6 7; do for k in 0 1 2 3 4 5 6 7; do printf \"\\\\$i$j$k\"; done; done; done"); !bytes.Equal(res.GetStdoutBytes(), all) {
			t.Errorf("%s: binary output is %q", shell, res.GetStdoutBytes())
		}
		long := strings.Repeat("x", 300_000)
		s.check(want{command: "echo " + long, stdout: long + "\n"}, want{command: "V='" + long + "'; echo ${#V}", stdout: "300000\n"})
		for range 30 {
			if res := s.exec("head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2"); len(res.GetStdout()) != 60000 || len(res.GetStderr()) != 60000 {
				t.Fatalf("%s: got %d and %d bytes", shell, len(res.GetStdout()), len(res.GetStderr()))
			}
		}
	}
}
