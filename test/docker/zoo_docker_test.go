//go:build docker

package docker

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"testing"
)

// Every probe of the zoo is answered in a container as in a native sandbox.
func TestNothingEscapes(t *testing.T) {
	// The same path in the image as outside, and not below /tmp.
	tools, err := os.MkdirTemp("/opt", "agentfense-zoo-docker-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tools)
	if err := os.Chmod(tools, 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", tools+"/zoo", "../zoo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	zoo, err := os.ReadFile(tools + "/zoo")
	if err != nil {
		t.Fatal(err)
	}
	var entries []file
	for name, mode := range map[string]int64{"zoo": 0o755, "zoo-setuid": 0o4755, "zoo-setgid": 0o2755, "zoo-capable": 0o755} {
		f := file{path: tools[1:] + "/" + name, content: string(zoo), mode: mode}
		if name == "zoo-capable" {
			f.capability = allCapabilities()
		}
		entries = append(entries, f)
	}
	r, err := withFiles(base, entries...)
	if err != nil {
		t.Fatal(err)
	}
	if err := dock.load("zoo", r); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("go", "test", "-tags", "root", "-count=1", "-run", "^TestNothingEscapes$", "../zoo", "-args", "-image", "zoo", "-tools", tools)
	c.Env = append(os.Environ(), "DOCKER_HOST="+dock.host())
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	dock.gone(t)
}

// allCapabilities is a security.capability attribute of version 2.
func allCapabilities() string {
	var b bytes.Buffer
	const version2, effective = 0x02000000, 1
	_ = binary.Write(&b, binary.LittleEndian, []uint32{version2 | effective, ^uint32(0), 0, ^uint32(0), 0})
	return b.String()
}
