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
	var err error
	if workerProgram, err = os.Open(os.Getenv("NATIVE_TEST_INSIDE")); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
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
