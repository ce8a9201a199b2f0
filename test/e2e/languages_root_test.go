//go:build root

package e2e

import (
	"os"
	"runtime"
	"testing"
)

// TestLanguagesPassTheirOwnTests runs tests that CPython and Go keep of the
// operating system below them. What fails on purpose is left out by name, and
// listed in docs/limits.md.
func TestLanguagesPassTheirOwnTests(t *testing.T) {
	if _, err := os.Stat("/usr/lib/python3.11/test/test_os.py"); err != nil {
		t.Fatalf("CPython's tests are not installed: run scripts/setup: %v", err)
	}
	d := start(t)
	cb, _ := d.ingest(tree(t, map[string]string{"a": "a"}), nil)
	t.Run("in sandboxes of their own", func(t *testing.T) {
		for name, command := range map[string]string{
			"files":      "python3 -m test -q test_os test_tempfile test_pathlib test_shutil",
			"subprocess": "python3 -m test -q test_subprocess",
			// UDP-Lite is no protocol that a sandbox has.
			"sockets": "python3 -m test -q test_socket -i '*UDPLITE*'",
			"go":      "cd " + runtime.GOROOT() + "/src && ../bin/go test os os/exec path/filepath",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := d.open(cb, rules(t, "development"), nil)
				res := b.run(command)
				if res.GetExitCode() != 0 {
					t.Errorf("%s = %d\n%s%s", command, res.GetExitCode(), res.GetStdout(), res.GetStderr())
				}
			})
		}
	})
}
