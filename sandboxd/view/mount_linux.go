package view

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// source is what a mount table shows as the device of a view: nothing of the
// host.
const source = "workspace"

// mount makes directory name in dir and mounts a view there that nobody serves
// yet. It returns the /dev/fuse descriptor to serve it by: if that is closed
// everywhere, the view is dead.
func mount(dir, name string) (_ *os.File, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("cannot make view directory: %w", err)
	}
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make mount point: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unmount(path), removeDir(path))
		}
	}()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the FUSE device: %w", err)
	}
	device := os.NewFile(uintptr(fd), "fuse")
	tree, err := detached(device)
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	defer unix.Close(tree)
	if err := attach(tree, path); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return device, nil
}

// option is one parameter of a file system; a flag has no value.
type option struct{ name, value string }

// detached returns a mount of a new FUSE connection that is nowhere yet.
func detached(device *os.File) (int, error) {
	context, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("cannot open FUSE: %w", err)
	}
	defer unix.Close(context)
	for _, o := range []option{
		{"source", source},
		{"fd", strconv.Itoa(int(device.Fd()))},
		{"rootmode", "40000"},
		{"user_id", "0"},
		{"group_id", "0"},
		{"allow_other", ""},
		{"default_permissions", ""},
		{"ro", ""},
	} {
		if err := configure(context, o); err != nil {
			return -1, fmt.Errorf("cannot set FUSE option %s: %w", o.name, err)
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, fmt.Errorf("cannot create the view: %w", err)
	}
	tree, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC,
		unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return -1, fmt.Errorf("cannot mount the view: %w", err)
	}
	return tree, nil
}

func configure(context int, o option) error {
	if o.value == "" {
		return unix.FsconfigSetFlag(context, o.name)
	}
	return unix.FsconfigSetString(context, o.name, o.value)
}

// attach puts a detached mount at path and keeps later mounts in it from
// spreading.
func attach(tree int, path string) error {
	err := unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err == nil {
		err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Propagation: unix.MS_PRIVATE})
	}
	if err != nil {
		return fmt.Errorf("cannot attach the view: %w", err)
	}
	return nil
}

// cloneReadOnly returns a mount of a directory that is nowhere yet, through
// which nothing can be changed or executed.
func cloneReadOnly(dir *os.File) (*os.File, error) {
	fd, err := unix.OpenTree(int(dir.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot clone mount: %w", err)
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOATIME,
		Attr_clr: unix.MOUNT_ATTR__ATIME, Propagation: unix.MS_PRIVATE,
	})
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot make mount read-only: %w", err)
	}
	return os.NewFile(uintptr(fd), "mount of "+dir.Name()), nil
}

// unmount takes a view out of the namespace. Where it is in use it goes when
// that ends.
func unmount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: not mounted
		return fmt.Errorf("cannot unmount: %w", err)
	}
	return nil
}

// removeDir removes an empty mount point.
func removeDir(path string) error {
	if err := unix.Rmdir(path); err != nil {
		return fmt.Errorf("cannot remove mount point: %w", err)
	}
	return nil
}

// removeStale removes the mount points that an earlier process has left.
// Mounts end with the namespace that they were made in, directories do not.
func removeStale(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list view directory: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.Contains(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		err = errors.Join(err, unmount(path), removeDir(path))
	}
	return err
}
