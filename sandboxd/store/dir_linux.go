package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dir is an open directory. Its methods reach names below it, never through a
// symbolic link in the last component.
type dir struct {
	file *os.File
	fd   int
}

func newDir(f *os.File) *dir { return &dir{file: f, fd: int(f.Fd())} }

func openDir(path string) (*dir, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return newDir(f), nil
}

func (d *dir) openDir(name string) (*dir, error) {
	f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return newDir(f), nil
}

func (d *dir) openOrMakeDir(name string, mode uint32) (*dir, error) {
	if err := unix.Mkdirat(d.fd, name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("cannot make %s: %w", name, err)
	}
	return d.openDir(name)
}

func (d *dir) open(name string, flags int) (*os.File, error) {
	return d.openMode(name, flags, 0)
}

func (d *dir) openMode(name string, flags int, mode uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// create makes a new file. The mode does not depend on the umask.
func (d *dir) create(name string, mode uint32) (*os.File, error) {
	f, err := d.openMode(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := unix.Fchmod(int(f.Fd()), mode); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot chmod %s: %w", name, err), f.Close(), d.unlink(name))
	}
	return f, nil
}

func (d *dir) unlink(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return &os.PathError{Op: "unlink", Path: name, Err: err}
	}
	return nil
}

func (d *dir) rename(name string, to *dir, toName string) error {
	if err := unix.Renameat(d.fd, name, to.fd, toName); err != nil {
		return &os.LinkError{Op: "rename", Old: name, New: toName, Err: err}
	}
	return nil
}

func (d *dir) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return st, nil
}

func (d *dir) fstat() (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return st, &os.PathError{Op: "stat", Path: d.file.Name(), Err: err}
	}
	return st, nil
}

func (d *dir) chmod(mode uint32) error {
	if err := unix.Fchmod(d.fd, mode); err != nil {
		return &os.PathError{Op: "chmod", Path: d.file.Name(), Err: err}
	}
	return nil
}

// touch sets the times of a file to now.
func (d *dir) touch(name string) error {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if err := unix.UtimesNanoAt(d.fd, name, now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "touch", Path: name, Err: err}
	}
	return nil
}

// chgrp gives a file to a group.
func (d *dir) chgrp(name string, gid uint32) error {
	if err := unix.Fchownat(d.fd, name, -1, int(gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "chown", Path: name, Err: err}
	}
	return nil
}

func (d *dir) chgrpSelf(gid uint32) error {
	if err := unix.Fchown(d.fd, -1, int(gid)); err != nil {
		return &os.PathError{Op: "chown", Path: d.file.Name(), Err: err}
	}
	return nil
}

// names calls yield with every name, a thousand at a time.
func (d *dir) names(yield func(name string) error) error {
	again, err := d.openDir(".")
	if err != nil {
		return err
	}
	defer again.file.Close()
	for {
		names, err := again.file.Readdirnames(1000)
		for _, name := range names {
			if err := yield(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// removeAll removes the files in d, which holds no directories.
func (d *dir) removeAll() error {
	return d.names(d.unlink)
}

// syncAll writes the whole file system's data to disk.
func (d *dir) syncAll() error {
	if err := unix.Syncfs(d.fd); err != nil {
		return &os.PathError{Op: "syncfs", Path: d.file.Name(), Err: err}
	}
	return nil
}

// syncFile writes one file or directory below d to disk.
func (d *dir) syncFile(name string) error {
	f, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lock makes and locks a file. It stays locked until it is closed.
func (d *dir) lock(name string) (*os.File, error) {
	f, err := d.openMode(name, unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func mtime(st *unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }

func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }
