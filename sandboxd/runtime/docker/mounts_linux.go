package docker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// setupFiles returns what goes with a container's Setup: the worker's program,
// which stays the caller's, and the view and the delta as detached mounts. So
// neither has to be where the engine could find it.
func setupFiles(program *os.File, spec runtime.Spec) ([]*os.File, error) {
	files := []*os.File{program}
	view, err := detached(spec.View)
	if err != nil {
		return nil, err
	}
	files = append(files, view)
	if spec.Plan.ReadOnly() {
		return files, nil
	}
	dir := spec.Dir
	if spec.Disk != nil {
		dir = fmt.Sprintf("/proc/self/fd/%d", spec.Disk.Fd())
	}
	delta, err := detached(dir)
	if err != nil {
		closeAll(files[1:])
		return nil, err
	}
	return append(files, delta), nil
}

// detached returns a mount of a directory that is nowhere.
func detached(dir string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	private := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &private); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "mount_setattr", Path: dir, Err: err}
	}
	return f, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
