package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// statAt is fstatat without following a link.
func statAt(dir int, name string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// openDirAt opens a directory by its path below another, which no symbolic
// link or ".." can lead out of. A long path costs no open parent.
func openDirAt(dir int, path string) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	err = retry(func() error {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	return fd, err
}

// openRootDir opens the directory that a caller named. Links like
// /proc/self/fd/3 would lead it to what the daemon has open.
func openRootDir(path string) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_NO_MAGICLINKS,
	}
	err = retry(func() error {
		fd, err = unix.Openat2(unix.AT_FDCWD, path, &how)
		return err
	})
	return fd, err
}

// openFileAt opens what should be a regular file; the caller has to look what
// it got. It does not wait for the other end of a FIFO.
func openFileAt(dir int, name string) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

func readLinkAt(dir int, name string, size int64) (string, error) {
	buf := make([]byte, max(size, 0)+1)
	for {
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		if len(buf) > 2*unix.PathMax {
			return "", unix.ENAMETOOLONG
		}
		buf = make([]byte, 2*unix.PathMax+1)
	}
}

func retry(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

type dirent struct {
	name string
	kind uint8 // unix.DT_*
}

var direntBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// readDir returns the names in an open directory and what readdir says of
// their kind. A file system may go on for ever.
func readDir(fd int) ([]dirent, error) {
	buf := direntBuffers.Get().(*[32 << 10]byte)
	defer direntBuffers.Put(buf)
	var list []dirent
	for {
		var n int
		if err := retry(func() (err error) {
			n, err = unix.Getdents(fd, buf[:])
			return err
		}); err != nil {
			return nil, err
		}
		if n <= 0 {
			return list, nil
		}
		if len(list) > MaxEntries {
			return nil, ErrTooLarge
		}
		for rest := buf[:n]; len(rest) > 19; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size <= 19 || size > len(rest) {
				return nil, unix.EIO
			}
			name, _, _ := bytes.Cut(rest[19:size], []byte{0})
			if s := string(name); s != "." && s != ".." && s != "" {
				list = append(list, dirent{s, rest[18]})
			}
			rest = rest[size:]
		}
	}
}
