//go:build root

package native

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// workerProgram is the built worker.
var workerProgram *os.File

// TestMain runs the tests in a mount namespace of their own.
func TestMain(m *testing.M) {
	if os.Getenv("NATIVE_TEST_INSIDE") == "" {
		os.Exit(outside())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		panic(err)
	}
	workerProgram = sealed(os.Getenv("NATIVE_TEST_INSIDE"))
	goleak.VerifyTestMain(m)
}

// sealed copies a program to where Landlock lets it be executed from, as the
// daemon does.
func sealed(path string) *os.File {
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	fd, err := unix.MemfdCreate("worker", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		panic(err)
	}
	f := os.NewFile(uintptr(fd), "worker")
	if _, err := f.Write(b); err != nil {
		panic(err)
	}
	if err := f.Chmod(0o111); err != nil {
		panic(err)
	}
	return f
}

func outside() int {
	dir, err := os.MkdirTemp("", "native-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "worker")
	build := exec.Command("go", "build", "-o", program, "github.com/agentfense/agentfense/cmd/agentfense-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the worker: %v\n%s", err, out)
		return 1
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), "NATIVE_TEST_INSIDE="+program)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
