package delta

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// copyChunk is how much is copied between two looks at the context.
const copyChunk = 16 << 20

// copyFile copies a regular file, through no link.
func (c *copier) copyFile(from, to int, name, path string) error {
	f, err := openFile(from, name)
	if err != nil {
		return c.gone(path, err)
	}
	defer f.Close()
	fd, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), "copy")
	defer out.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if unix.IoctlFileClone(fd, int(f.Fd())) != nil { // the file system cannot
		if err := c.copyData(f, out, st.Size); err != nil {
			return err
		}
	}
	if err := copyAttributes(int(f.Fd()), fd); err != nil {
		return err
	}
	return c.finish(fd, path, &st)
}

// copyData copies what a file holds up to a size, and leaves its holes.
func (c *copier) copyData(from, to *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only a hole is left
			break
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE)
		if errors.Is(err, unix.ENXIO) { // it has become shorter
			break
		}
		if err != nil {
			return err
		}
		end = min(end, size)
		for at = min(data, size); at < end; {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			n, err := copyRange(from, to, at, min(end-at, copyChunk))
			if err != nil {
				return err
			}
			if n == 0 { // it has become shorter
				return to.Truncate(at)
			}
			at += n
		}
	}
	return to.Truncate(size)
}

func copyRange(from, to *os.File, at, length int64) (int64, error) {
	if _, err := to.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	if _, err := from.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(to, io.LimitReader(from, length)) // by copy_file_range
}

// keptAttribute reports whether a copy gets an attribute: one that a sandbox
// can set, and what makes a directory opaque. What overlayfs notes of where a
// copy-up came from is about the other sandbox's layers.
func keptAttribute(name string) bool {
	return name == "trusted.overlay.opaque" || strings.HasPrefix(name, "user.") ||
		name == "system.posix_acl_access" || name == "system.posix_acl_default"
}

func copyAttributes(from, to int) error {
	list, err := readAttribute(func(b []byte) (int, error) { return unix.Flistxattr(from, b) })
	if err != nil {
		return err
	}
	for raw := range bytes.SplitSeq(list, []byte{0}) {
		name := string(raw)
		if !keptAttribute(name) {
			continue
		}
		value, err := readAttribute(func(b []byte) (int, error) { return unix.Fgetxattr(from, name, b) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err == nil {
			err = unix.Fsetxattr(to, name, value, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAttribute calls read with a buffer that is large enough.
func readAttribute(read func([]byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 1024)
	for {
		n, err := read(buf)
		switch {
		case errors.Is(err, unix.EOPNOTSUPP):
			return nil, nil
		case errors.Is(err, unix.ERANGE) && len(buf) < 64<<10:
			buf = make([]byte, 64<<10)
		case err != nil:
			return nil, err
		default:
			return buf[:n], nil
		}
	}
}
