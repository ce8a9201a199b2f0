//go:build root

package e2e

import (
	"path/filepath"
	"runtime"
	"testing"
)

// TestLanguagesPassTheirOwnTests runs tests that CPython and Go keep of the
// operating system below them. What fails on purpose is left out by name, and
// listed in docs/limits.md.
func TestLanguagesPassTheirOwnTests(t *testing.T) {
	if found, _ := filepath.Glob("/usr/lib/python3.*/test/test_os.py"); len(found) == 0 {
		t.Fatal("CPython's tests are not installed: run scripts/setup")
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
