//go:build docker

package docker

import (
	"os"
	"os/exec"
	"testing"
)

// The tests of the Python SDK, the overview's block among them.
func TestPython(t *testing.T) {
	c := exec.Command("../../scripts/py", "docker")
	c.Env = append(os.Environ(), "AGENTFENSE_BIN="+bin, "AGENTFENSE_TEST_DOCKER="+dock.host(), "AGENTFENSE_TEST_IMAGE="+image)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	dock.gone(t)
}
