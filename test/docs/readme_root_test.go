//go:build root

package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// blockTimeout is how long one block may take; the quickstart builds.
const blockTimeout = 10 * time.Minute

// TestReadmesRun runs every code block of the READMEs.
func TestReadmesRun(t *testing.T) {
	root := repository(t)
	tree := checkout(t, root)
	must(t, tree, nil, "scripts/build")
	must(t, root, nil, "scripts/py", "setup")
	env := append(os.Environ(),
		"PATH="+shims(t)+":"+os.Getenv("PATH"),
		"AGENTFENSE_ENDPOINT="+daemon(t, tree),
		"PYTHONDONTWRITEBYTECODE=1")
	for _, name := range readmes {
		for _, b := range blocks(t, name) {
			if b.skip != "" || b.language == "text" {
				continue
			}
			t.Run(fmt.Sprintf("%s:%d", name, b.line), func(t *testing.T) {
				argv := []string{"bash", "-euo", "pipefail", "-c", b.text}
				if b.language == "python" {
					argv = []string{filepath.Join(root, "bin/venv/bin/python"), "-c", b.text}
				}
				out, code := execute(t, tree, env, argv)
				if code != b.exits {
					t.Errorf("exit code %d, want %d\n%s\nprinted:\n%s", code, b.exits, b.text, out)
				}
				if !strings.Contains(out, b.prints) {
					t.Errorf("%s\ndid not print %q but:\n%s", b.text, b.prints, out)
				}
			})
		}
	}
}

// checkout is a copy of the files of the working tree, as somebody who clones
// the repository has them.
func checkout(t *testing.T, root string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "agentfense")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, root, []string{"TREE=" + tree}, "bash", "-euo", "pipefail", "-c",
		`git ls-files -z --cached --others --exclude-standard --deduplicate |
			while IFS= read -r -d "" f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
			tar --null -T - -cf - | tar -C "$TREE" -xf -`)
	return tree
}

// shims is a directory with a sudo for machines that have none.
func shims(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := exec.LookPath("sudo"); err != nil {
		if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// daemon starts a daemon and returns its endpoint.
func daemon(t *testing.T, tree string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	state, run := filepath.Join(dir, "state"), filepath.Join(dir, "run")
	for _, d := range []string{state, run} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(tree, "bin/sandboxd"), "--state-dir", state, "--run-dir", run)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("sandboxd ended with %v\n%s", err, &log)
		}
	})
	endpoint := "unix://" + filepath.Join(run, "api.sock")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := exec.Command(filepath.Join(tree, "bin/agentfense"), "--endpoint", endpoint, "info").Run()
		if err == nil {
			return endpoint
		}
		if time.Now().After(deadline) {
			t.Fatalf("sandboxd does not answer: %v\n%s", err, &log)
		}
	}
}

func must(t *testing.T, dir string, env []string, argv ...string) {
	t.Helper()
	if out, code := execute(t, dir, append(os.Environ(), env...), argv); code != 0 {
		t.Fatalf("%q: exit code %d\n%s", argv, code, out)
	}
}

func execute(t *testing.T, dir string, env, argv []string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), blockTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, env
	// Whatever a block leaves running must not keep its output open for ever.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
