package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	workspace = "/workspace"
	// secretMark is in every file of the codebase that no sandbox may read.
	secretMark = "zoo-secret"
	// hostMark is in a file of the host's.
	hostMark = "zoo-host-file"
)

// entry is one file or link of the codebase that is attacked.
type entry struct {
	path, content, target string
	mode                  os.FileMode
}

// codebase is what the probes find at /workspace.
var codebase = []entry{
	{path: "open.txt", content: "open"},
	{path: "open/inner.txt", content: "open"},
	{path: "secret.env", content: secretMark},
	{path: "vault/inner.txt", content: secretMark},
	{path: "vault/deep/inner.txt", content: secretMark},
	{path: "fixed/inner.txt", content: "fixed"},
	{path: "fixed/run.sh", content: "#!/bin/sh\n", mode: 0o755},
	{path: "shown/inner.txt", content: secretMark},
	{path: "shown/run.sh", content: "#!/bin/sh\necho " + secretMark + "\n", mode: 0o755},
	{path: "output/plain.txt", content: "plain"},
	{path: "output/kept.txt", content: "fixed"},
	{path: "output/kept/inner.txt", content: "fixed"},
	{path: "output/veiled.txt", content: secretMark},
	{path: "output/veil/inner.txt", content: secretMark},
	{path: "twins/a/veil.txt", content: secretMark},
	{path: "twins/a/veil/inner.txt", content: secretMark},
	{path: "twins/a/one", content: "1"},
	{path: "twins/a/two", content: "22"},
	{path: "twins/b/one", content: "1"},
	{path: "twins/b/two", content: "22"},
	{path: "moved/a/veil.txt", content: secretMark},
	{path: "moved/a/veil/inner.txt", content: secretMark},
	{path: "moved/a/one", content: "1"},
	{path: "moved/a/two", content: "22"},
	{path: "moved/b/one", content: "1"},
	{path: "moved/b/two", content: "22"},
	{path: "link-to-secret", target: "secret.env"},
	{path: "link-to-vault", target: "vault"},
	{path: "link-out", target: "../../../../../../etc/shadow"},
	{path: "output/link-to-veiled", target: "veiled.txt"},
}

// rules come after those of a preset.
var rules = []string{
	"/secret.env=none@200", "/vault/**=none@200", "/output/veiled.txt=none@200", "/output/veil/**=none@200",
	"/twins/a/veil.txt=none@200", "/twins/a/veil/**=none@200", "/moved/a/veil.txt=none@200", "/moved/a/veil/**=none@200",
	"/fixed/**=read@200", "/output/kept.txt=read@200", "/output/kept/**=read@200",
	"/shown/**=view@200",
}

// Files of the codebase, by what the rules make of them.
var (
	hidden     = []string{"secret.env", "vault/inner.txt", "vault/deep/inner.txt", "output/veiled.txt", "output/veil/inner.txt", "twins/a/veil.txt", "twins/a/veil/inner.txt", "moved/a/veil.txt"}
	shown      = []string{"shown/inner.txt", "shown/run.sh"}
	unreadable = append(append([]string{}, hidden...), shown...)
	fixed      = []string{"fixed/inner.txt", "output/kept.txt", "output/kept/inner.txt"}
	frozen     = append(append([]string{}, fixed...), shown...)
	frozenDirs = []string{"fixed", "output/kept", "shown"}
)

// build makes the codebase below dir.
func build(dir string) error {
	for _, e := range codebase {
		path := filepath.Join(dir, e.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if e.target != "" {
			if err := os.Symlink(e.target, path); err != nil {
				return err
			}
			continue
		}
		mode := e.mode
		if mode == 0 {
			mode = 0o644
		}
		if err := os.WriteFile(path, []byte(e.content), mode); err != nil {
			return err
		}
	}
	return nil
}

// restore makes the workspace of an unconfined machine anew. The twins lie on a
// tmpfs, whose directories tell by size and offsets what is in them.
func restore() error {
	_ = unix.Unmount(in("twins"), unix.MNT_DETACH)
	left, err := filepath.Glob(workspace + "/*")
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(in("twins"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("twins", in("twins"), "tmpfs", 0, ""); err != nil {
		return err
	}
	return build(workspace)
}

func in(path string) string { return workspace + "/" + path }

// scratch makes directories of the probe's own where that can be done.
func scratch() []string {
	var dirs []string
	for _, parent := range []string{"/tmp", workspace + "/output"} {
		if dir, err := os.MkdirTemp(parent, "zoo-"); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
