package native

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/agentfense/agentfense/sandboxd/worker"
)

// copiedFiles of the host's /etc hold nothing private and are small.
var copiedFiles = []string{
	"ld.so.cache", "ld.so.conf", "mime.types", "os-release", "debian_version", "protocols", "services",
	"rpc", "networks", "host.conf", "shells", "magic", "bash.bashrc", "inputrc", "locale.alias",
}

// boundDirs of the host's /etc hold configuration of programs in /usr, and
// nothing private.
var boundDirs = []string{"alternatives", "ssl/certs", "ca-certificates", "fonts", "perl", "python3", "java-*", "python3.*", "terminfo"}

// makeEtc makes up an /etc: enough for programs to work, nothing of the host's
// users, keys and services.
func makeEtc(etc string, uid uint32) error {
	files := worker.EtcFiles(uid, "/bin/bash")
	files["nsswitch.conf"] = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n"
	files["profile"] = ""
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, name := range copiedFiles {
		b, err := os.ReadFile(filepath.Join("/etc", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(etc, name), b, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if err := os.Symlink("/proc/self/mounts", filepath.Join(etc, "mtab")); err != nil {
		return err
	}
	if err := linkLocaltime(etc); err != nil {
		return err
	}
	return bindConfigs(etc)
}

// linkLocaltime gives the sandbox the host's time zone, by a link into /usr.
func linkLocaltime(etc string) error {
	zone, err := filepath.EvalSymlinks("/etc/localtime")
	if err != nil || !isBelow(zone, "/usr/share/zoneinfo") {
		zone = "/usr/share/zoneinfo/UTC"
	}
	return os.Symlink(zone, filepath.Join(etc, "localtime"))
}

func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func bindConfigs(etc string) error {
	for _, pattern := range boundDirs {
		dirs, err := filepath.Glob(filepath.Join("/etc", pattern))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
				continue
			}
			if err := bindNew(dir, filepath.Join(etc, dir[len("/etc"):])); err != nil {
				return err
			}
		}
	}
	return nil
}
