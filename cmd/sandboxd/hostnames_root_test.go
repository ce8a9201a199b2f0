//go:build root

package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// lookAround prints all that a payload can read of its surroundings.
const lookAround = `
import os, socket, platform
def show(name, data):
    print(name, data.decode("utf-8", "backslashreplace"), sep=": ")
for top in ("/proc", "/dev", "/etc", "/run", "/var"):
    for dir, dirs, files in os.walk(top):
        if dir == "/proc" :
            dirs[:] = [d for d in dirs if not d.isdigit() or d in ("1", str(os.getpid()))]
        if "/task/" in dir or dir in ("/etc/ssl", "/etc/alternatives", "/dev/shm", "/dev/pts"):
            dirs[:] = []
        for name in files + dirs:
            path = os.path.join(dir, name)
            print("name:", path)
            try:
                print("link:", path, os.readlink(path))
            except OSError:
                pass
            if name in ("kmsg", "zero", "full", "random", "urandom", "tty", "pagemap", "mem", "clear_refs"):
                continue
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
                try:
                    show(path, os.read(fd, 1 << 20))
                finally:
                    os.close(fd)
            except OSError:
                pass
for key, value in os.environ.items():
    show("environment", (key + "=" + value).encode())
show("uname", repr((os.uname(), socket.gethostname(), socket.getfqdn(), platform.node())).encode())
for line in open("/proc/self/mountinfo"):
    point = line.split()[4]
    try:
        show("statfs " + point, repr(os.statvfs(point)).encode())
        for attr in os.listxattr(point):
            show("xattr " + point + " " + attr, os.getxattr(point, attr))
    except OSError:
        pass
`

// hostSecrets are names that no sandbox may learn.
func hostSecrets(t *testing.T, dir, host string) map[string]string {
	t.Helper()
	secrets := map[string]string{
		"the state and run directories": dir, "the host's name": host, "the host's domain": "nis-" + host,
		"the daemon's environment": "marker-of-the-daemons-environment",
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	secrets["the directory of the sources"] = wd
	passwd, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer passwd.Close()
	for lines := bufio.NewScanner(passwd); lines.Scan(); {
		f := strings.Split(lines.Text(), ":")
		if uid, err := strconv.Atoi(f[2]); err == nil && uid >= 1000 && uid < 60000 && len(f[0]) > 3 {
			secrets["a user of the host"] = f[0]
		}
	}
	return secrets
}

func TestNothingReadableNamesTheHost(t *testing.T) {
	const host = "host-of-secrets"
	t.Setenv("MARKER", "marker-of-the-daemons-environment")
	b := newBoxAfter(t, "hostname "+host+" && domainname nis-"+host)
	cb := b.codebase(map[string]string{"a": "a", "output/b": "b"})
	secrets := hostSecrets(t, b.dir, host)
	for name, req := range map[string]*sandboxv1.CreateSandboxRequest{
		"view":    {Permissions: []*sandboxv1.PermissionRule{rule("**/*", look)}},
		"read":    {Permissions: []*sandboxv1.PermissionRule{rule("**/*", read)}},
		"partly":  {Permissions: []*sandboxv1.PermissionRule{rule("**/*", read), rule("/output/**", write)}},
		"write":   {Permissions: []*sandboxv1.PermissionRule{rule("**/*", write)}},
		"bounded": {Permissions: []*sandboxv1.PermissionRule{rule("**/*", write)}, Resources: &sandboxv1.ResourceLimits{DiskBytes: 16 << 20, MemoryBytes: 256 << 20}},
	} {
		req.CodebaseId, req.CommitMode = cb, manual
		sb := b.sandbox(req)
		res, err := b.Exec(ctxOf(t), &sandboxv1.ExecRequest{
			SandboxId: sb, Argv: [][]byte{[]byte("python3"), []byte("-c"), []byte(lookAround)}, OutputLimit: 16 << 20,
		})
		if err != nil || res.GetExitCode() != 0 || res.GetStdoutTruncated() {
			t.Fatalf("%s: exit code %d, truncated %v, %v: %s", name, res.GetExitCode(), res.GetStdoutTruncated(), err, res.GetStderr())
		}
		out := res.GetStdout()
		for _, want := range []string{"/mountinfo: ", "/proc/1/cmdline: init", "uname: ", "statfs /workspace: "} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the look did not show %q", name, want)
			}
		}
		for what, secret := range secrets {
			for line := range strings.Lines(out) {
				if strings.Contains(line, secret) {
					t.Errorf("%s: %s shows in %.300q", name, what, line)
				}
			}
		}
	}
}
