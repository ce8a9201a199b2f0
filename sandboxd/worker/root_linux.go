package worker

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// userName is what the one user of every sandbox is called.
const userName = "agent"

// EtcFiles are the files of /etc that tell of users and the network, by name:
// the same in every root that a sandbox can have.
func EtcFiles(uid uint32, shell string) map[string]string {
	return map[string]string{
		"passwd":      fmt.Sprintf("root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n%s:x:%d:%d:agent:/home/agent:%s\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", userName, uid, uid, shell),
		"group":       fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", userName, uid),
		"hosts":       "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n",
		"hostname":    hostName + "\n",
		"resolv.conf": "",
	}
}

// HasOutput says whether /output leads to /workspace/output.
func HasOutput(writable []string) bool {
	return slices.ContainsFunc(writable, func(dir string) bool {
		return dir == "/output" || strings.HasPrefix(dir, "/output/")
	})
}

// MakeDevices makes the six devices that programs expect, and the usual links.
func MakeDevices(dev string) error {
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{
		{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
	} {
		path := dev + "/" + d.name
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return &os.PathError{Op: "mknod", Path: path, Err: err}
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for path, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, dev+"/"+path); err != nil {
			return err
		}
	}
	return nil
}
