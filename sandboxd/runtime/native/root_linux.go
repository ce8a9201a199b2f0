package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/worker"
)

// rootKey says which sandboxes can share a prepared root.
type rootKey struct {
	uid    uint32
	output bool // /output leads to /workspace/output
}

// roots prepares the part of a sandbox's root that is the same for all
// sandboxes of one user: a read-only tmpfs with the host's /usr, a made-up
// /etc, and /dev. A worker finds it, as its own copy, in its mount namespace.
type roots struct {
	dir        string
	toolchains []string

	mu    sync.Mutex
	ready map[rootKey]string
}

func newRoots(dir string, toolchains []string) *roots {
	return &roots{dir: dir, toolchains: toolchains, ready: map[rootKey]string{}}
}

// acquire returns the mount point of the root for key, made on first use.
func (r *roots) acquire(key rootKey) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if path, ok := r.ready[key]; ok {
		return path, nil
	}
	path := filepath.Join(r.dir, strconv.FormatUint(uint64(key.uid), 10)+"-"+strconv.FormatBool(key.output))
	if err := r.build(path, key); err != nil {
		_ = unix.Unmount(path, unix.MNT_DETACH) // as far as it got
		_ = os.Remove(path)
		return "", fmt.Errorf("cannot prepare the sandbox root: %w", err)
	}
	r.ready[key] = path
	return path, nil
}

func (r *roots) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for key, path := range r.ready {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			errs = append(errs, &os.PathError{Op: "unmount", Path: path, Err: err})
			continue
		}
		errs = append(errs, os.Remove(path))
		delete(r.ready, key)
	}
	return errors.Join(errs...)
}

func (r *roots) build(root string, key rootKey) error {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("sandbox", root, "tmpfs", unix.MS_NOSUID, "size=8m,nr_inodes=4096,mode=0755"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	for _, step := range []func() error{
		func() error { return makeDirs(root) },
		func() error { return bindSystem(root) },
		func() error { return bindToolchains(root, r.toolchains) },
		func() error { return worker.MakeDevices(root + "/dev") },
		func() error { return makeEtc(root+"/etc", key.uid) },
		func() error { return makeLinks(root, key) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return os.NewSyscallError("mount_setattr", unix.MountSetattr(unix.AT_FDCWD, root, 0, &ro))
}

func makeDirs(root string) error {
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{
		{"/dev", 0o755},
		{"/dev/pts", 0o755},
		{"/dev/shm", 0o755},
		{"/etc", 0o755},
		{"/opt", 0o755},
		{"/opt/bin", 0o755},
		{"/home", 0o755},
		{"/home/agent", 0o700},
		{"/proc", 0o555},
		{"/run", 0o755},
		{"/tmp", 0o755},
		{"/usr", 0o755},
		{"/var", 0o755},
		{"/var/empty", 0o555},
		{"/workspace", 0o755},
	} {
		if err := os.Mkdir(root+d.path, d.mode); err != nil {
			return err
		}
		if err := os.Chmod(root+d.path, d.mode); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

func makeLinks(root string, key rootKey) error {
	links := map[string]string{"/var/tmp": "../tmp", "/var/run": "../run"}
	if key.output {
		links["/output"] = "workspace/output"
	}
	if needsPython() {
		links["/opt/bin/python"] = "/usr/bin/python3"
	}
	for path, target := range links {
		if err := os.Symlink(target, root+path); err != nil {
			return err
		}
	}
	return nil
}

// needsPython reports whether the host has a python3 and no python, as Debian
// does without python-is-python3. People and agents write python.
func needsPython() bool {
	for _, path := range []string{"/usr/bin/python", "/usr/local/bin/python"} {
		if _, err := os.Stat(path); err == nil {
			return false
		}
	}
	_, err := os.Stat("/usr/bin/python3")
	return err == nil
}

// bindSystem shows the host's programs and libraries, laid out as on the host.
func bindSystem(root string) error {
	if err := bindReadOnly("/usr", root+"/usr"); err != nil {
		return err
	}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		fi, err := os.Lstat(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if fi.Mode()&os.ModeSymlink == 0 {
			if err := bindNew(dir, root+dir); err != nil {
				return err
			}
			continue
		}
		target, err := os.Readlink(dir)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, root+dir); err != nil {
			return err
		}
	}
	return nil
}

func bindToolchains(root string, dirs []string) error {
	for _, dir := range dirs {
		if err := bindNew(dir, root+dir); err != nil {
			return fmt.Errorf("toolchain: %w", err)
		}
	}
	return nil
}

func bindNew(source, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	return bindReadOnly(source, target)
}

// bindReadOnly shows source, and what is mounted below it, at target.
func bindReadOnly(source, target string) error {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, flags)
	if err != nil {
		return &os.PathError{Op: "open_tree", Path: source, Err: err}
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Propagation: unix.MS_PRIVATE,
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return &os.PathError{Op: "mount_setattr", Path: source, Err: err}
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: source, Err: err}
	}
	return nil
}
