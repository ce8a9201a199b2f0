//go:build root

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRealScripts runs the program against real daemons: one for each script,
// at AGENTFENSE_ENDPOINT, and private ones where a script unsets that.
func TestRealScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root")
	}
	bin := t.TempDir()
	if out, err := exec.Command("../../scripts/build", bin).CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	// The program under test is the test binary: sandboxd is found in PATH.
	if err := os.Remove(filepath.Join(bin, "agentfense")); err != nil {
		t.Fatal(err)
	}
	shop, err := filepath.Abs("../../examples/shop")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/root",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", env.Getenv("PATH")+":"+bin)
			env.Setenv("SHOP", shop)
			dir, err := os.MkdirTemp("", "cli")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(dir) })
			private := filepath.Join(dir, "private")
			if err := os.Mkdir(private, 0o700); err != nil {
				return err
			}
			env.Setenv("PRIVATE", private)
			endpoint, stop, err := realDaemon(filepath.Join(bin, daemonName), dir)
			env.Defer(func() {
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
			env.Setenv(endpointEnv, endpoint)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"nothing": nothing,
		},
	})
}

// realDaemon starts a daemon. What stop returns has the daemon's log.
func realDaemon(path, dir string) (endpoint string, stop func() error, err error) {
	stop = func() error { return nil }
	for _, sub := range []string{"state", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return "", stop, err
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(path, "--state-dir", filepath.Join(dir, "state"), "--run-dir", filepath.Join(dir, "run"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return "", stop, err
	}
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("sandboxd ended with %w\n%s", err, &log)
		}
		return nil
	}
	endpoint = "unix://" + filepath.Join(dir, "run", "api.sock")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := dial(context.Background(), endpoint)
		if err == nil {
			c.Close()
			return endpoint, stop, nil
		}
		if time.Now().After(deadline) {
			return "", stop, fmt.Errorf("sandboxd does not answer: %w", err)
		}
	}
}

// nothing fails if a daemon has sandboxes or codebases, or if a private daemon
// left a process or a file.
func nothing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "left" {
		ts.Fatalf("usage: nothing left")
	}
	if ts.Getenv(endpointEnv) != "" {
		for _, list := range [][]string{{"ps"}, {"codebase", "ls"}} {
			ts.Check(ts.Exec("agentfense", append(list, "-o", "json")...))
			if got := strings.TrimSpace(ts.ReadFile("stdout")); got != "[]" {
				ts.Fatalf("%q lists %s", list, got)
			}
		}
	}
	private := ts.Getenv("PRIVATE")
	entries, err := os.ReadDir(private)
	ts.Check(err)
	for _, e := range entries {
		ts.Fatalf("%s is left in TMPDIR", e.Name())
	}
	if pids := mentioning(private); len(pids) > 0 {
		ts.Fatalf("processes %v are left", pids)
	}
}

// mentioning returns the processes with a text in their arguments.
func mentioning(text string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && bytes.Contains(data, []byte(text)) {
			found = append(found, strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return found
}
