package seccomp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/landlock/seccomp/install"
)

// A child of the test installs the program in this variable and executes its
// arguments, or makes the calls of TestConfinedCalls.
const programVariable = "AGENTFENSE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if encoded, ok := os.LookupEnv(programVariable); ok {
		fmt.Fprintln(os.Stderr, confined(encoded, os.Args[1:]))
		os.Exit(120)
	}
	os.Exit(m.Run())
}

// confined returns only if it fails.
func confined(encoded string, argv []string) error {
	runtime.LockOSThread()
	program, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	os.Unsetenv(programVariable)
	env := os.Environ()
	if err := install.Thread(program); err != nil {
		return err
	}
	return unix.Exec(path, argv, env)
}

func under(t *testing.T, p Program, argv ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, argv...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), programVariable+"="+base64.StdEncoding.EncodeToString(p))
	return cmd
}

// TestRealWork runs what people run in sandboxes.
func TestRealWork(t *testing.T) {
	const goProgram = `package main
import ("fmt"; "net"; "os/exec")
func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { panic(err) }
	go func() { c, _ := l.Accept(); c.Write([]byte("over tcp")); c.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil { panic(err) }
	b := make([]byte, 8)
	c.Read(b)
	out, err := exec.Command("echo", "from a child").Output()
	fmt.Println(string(b), string(out), err)
}`
	p := mustCompile(t, Core)
	for name, tt := range map[string]struct {
		tool, script, want string
	}{
		"bash runs pipelines and jobs": {
			"bash", `(sleep 0.01 & wait; seq 3 | sort -r | tr '\n' ' '; cat <<<here; exec 3<>fifo 2>/dev/null; mkfifo p; echo through >p & cat p)`, "3 2 1 here\nthrough",
		},
		"python starts threads, processes and sockets": {
			"python3", `python3 - <<'E'
import subprocess, threading, multiprocessing, socket, sqlite3, tempfile, os, asyncio, pty, signal
t = threading.Thread(target=lambda: None); t.start(); t.join()
assert subprocess.run(["echo", "x"], capture_output=True).stdout == b"x\n"
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
a, b = socket.socketpair(); a.send(b"y"); assert b.recv(1) == b"y"
s = socket.socket(socket.AF_INET6); s.close()
assert sqlite3.connect("x.db").execute("select 1").fetchone() == (1,)
async def f():
    p = await asyncio.create_subprocess_exec("true"); return await p.wait()
assert asyncio.run(f()) == 0
m, s = pty.openpty(); os.write(m, b"z\n"); assert os.read(s, 9) == b"z\n"
try: socket.socket(38, socket.SOCK_SEQPACKET, 0)
except PermissionError: print("fine")
E`, "fine",
		},
		"git commits and clones": {
			"git", `git init -q -b main r && cd r && echo hi >f && git add f && git -c user.name=a -c user.email=a@b commit -qm m && git clone -q . ../c && cd ../c && git gc -q && git log --format=%s`, "m",
		},
		"node runs, forks and reads files": {
			"node", `node -e 'const f=require("fs"),c=require("child_process");f.writeFileSync("x","y");f.promises.readFile("x","utf8").then(s=>console.log(s,c.execSync("echo child").toString()));new (require("worker_threads").Worker)("0",{eval:true})'`, "y child",
		},
		"go builds, and what it built serves TCP": {
			"go", `export GOFLAGS=-mod=mod GOPROXY=off; cat >main.go && go mod init x 2>/dev/null && go build -o x . && ./x`, "over tcp from a child\n <nil>",
		},
		"pytest runs": {
			"pytest", `printf 'def test_x(tmp_path):\n  (tmp_path / "a").write_text("b")\n' >test_x.py; pytest -q -p no:cacheprovider`, "1 passed",
		},
		"gcc compiles and links": {
			"gcc", `printf '#include <stdio.h>\nint main(){puts("built");}' >a.c && gcc -O2 a.c -o a && ./a`, "built",
		},
		"sqlite3 keeps a database with a log": {
			"sqlite3", `sqlite3 x.db 'pragma journal_mode=wal; create table t(a); insert into t values(7); select a from t;'`, "wal\n7",
		},
		"tar packs and unpacks": {
			"tar", `mkdir d && ln -s x d/l && echo z >d/f && tar czf d.tgz d && rm -r d && tar xzf d.tgz && cat d/f`, "z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.tool); err != nil {
				t.Skipf("%s is not installed", tt.tool)
			}
			cmd := under(t, p, "bash", "-c", tt.script)
			cmd.Stdin = strings.NewReader(goProgram)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%s: %v\n%s\nwant %q in it", tt.script, err, out, tt.want)
			}
		})
	}
}

func TestInstalledProgramRefuses(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	const script = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
call = lambda *a: (ctypes.set_errno(0), libc.syscall(*map(ctypes.c_long, a)), ctypes.get_errno())[2]
for name, got, want in [
    ("mount", call(165, 0, 0, 0, 0, 0), 1),
    ("io_uring_setup", call(425, 1, 0), 38),
    ("clone3", call(435, 0, 0), 38),
    ("unknown", call(590), 38),
    ("ptrace", call(101, 0, 0, 0, 0), 1),
    ("user namespace", call(272, 0x10000000), 1),
    ("TIOCSTI with junk above", call(16, 0, 0x100005412, 0), 1),
]:
    if got != want: sys.exit(f"{name}: errno {got}, want {want}")
if os.fork() == 0:
    call(0x40000000 | 39)  # getpid of x32
    os._exit(0)
sys.exit(0 if os.wait()[1] & 0x7f == 31 else "x32 did not die of SIGSYS")
`
	if out, err := under(t, mustCompile(t, Core), "python3", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestThread(t *testing.T) {
	for name, tt := range map[string]struct {
		program []byte
		want    error
	}{
		"nothing is no program":              {nil, install.ErrProgram},
		"half an instruction is no program":  {make([]byte, 12), install.ErrProgram},
		"too long is no program":             {make([]byte, 8*4097), install.ErrProgram},
		"the kernel refuses what has no end": {make([]byte, 8), unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // and not unlocked: no_new_privs stays
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				t.Fatal(err)
			}
			if err := install.Thread(tt.program); !errors.Is(err, tt.want) {
				t.Errorf("Thread(%d bytes) = %v, want %v", len(tt.program), err, tt.want)
			}
		})
	}
}

// TestNoLibraryBehindInstall keeps cgo out of confined programs.
func TestNoLibraryBehindInstall(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}", ".")
	cmd.Dir = filepath.Join("install")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("package install links cgo: %v: %s", err, out)
	}
}
