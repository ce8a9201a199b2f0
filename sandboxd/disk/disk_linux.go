package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/host"
)

const (
	// MinBytes is the size of the smallest disk.
	MinBytes = 4 << 20
	// MaxBytes is the size of the largest disk: more does not fit into a file of
	// ext4.
	MaxBytes = 16<<40 - blockSize
	// BytesPerInode says how many files, directories and links fit: one for so
	// many bytes of the disk's size.
	BytesPerInode = 8 << 10

	blockSize = 4096
	// toolPatience is how long making or checking a file system may take.
	toolPatience = time.Minute
)

// Make makes the file system in an empty file. It has no journal: what a crash
// of the host leaves half done is put right by the check in Open.
func Make(ctx context.Context, file *os.File, size int64) error {
	if size < MinBytes || size > MaxBytes {
		return fmt.Errorf("cannot make a disk of %d bytes: %w", size, unix.EINVAL)
	}
	if err := file.Truncate((size + blockSize - 1) / blockSize * blockSize); err != nil {
		return fmt.Errorf("cannot make a disk: %w", err)
	}
	mkfs, err := host.Mkfs()
	if err != nil {
		return fmt.Errorf("cannot make a disk: %w", err)
	}
	_, err = tool(ctx, file, mkfs, "-q", "-F", "-m", "0", "-b", strconv.Itoa(blockSize), "-i", strconv.Itoa(BytesPerInode),
		"-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0")
	if err != nil {
		return fmt.Errorf("cannot make a disk: %w", err)
	}
	return nil
}

// tool runs a program on a file, as its last argument.
func tool(ctx context.Context, file *os.File, name string, args ...string) (code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, toolPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append(args, "/proc/self/fd/3")...)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Env, cmd.Dir = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(out[:min(len(out), 512)]))
	}
	return cmd.ProcessState.ExitCode(), err
}

// checkFixed is the least exit code of e2fsck that tells of errors it left.
const checkFixed = 4

// check repairs what a crash left.
func check(ctx context.Context, file *os.File) error {
	fsck, err := host.Fsck()
	if err != nil {
		return err
	}
	if code, err := tool(ctx, file, fsck, "-p"); err != nil && (code < 0 || code >= checkFixed) {
		return err
	}
	return nil
}

// Disk is a file system that is attached.
type Disk struct{ loop *os.File }

// Open attaches a file that Make has filled. Fresh says that this process made
// it, and nobody has used it yet.
func Open(ctx context.Context, file *os.File, fresh bool) (*Disk, error) {
	if !fresh {
		// A predecessor's sandbox may be about to end.
		if loop, err := attached(file); loop != nil || err != nil {
			return &Disk{loop}, err
		}
		if err := check(ctx, file); err != nil {
			return nil, fmt.Errorf("cannot check the disk: %w", err)
		}
	}
	loop, err := attach(file)
	if err != nil {
		return nil, fmt.Errorf("cannot attach the disk: %w", err)
	}
	return &Disk{loop}, nil
}

// maxTries is how often another process may be faster to take a loop device.
const maxTries = 64

func attach(file *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Size: blockSize}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	for range maxTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, os.NewSyscallError("LOOP_CONFIGURE", err)
		}
	}
	return nil, unix.EBUSY
}

// attached returns the loop device that a file is attached to already, or nil.
// While it is open, the kernel does not detach it.
func attached(file *os.File) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return nil, err
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		loop, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(d)), os.O_RDWR, 0)
		if err != nil {
			continue // gone again
		}
		info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
		if err == nil && info.Inode == st.Ino && info.Device == st.Dev {
			return loop, nil
		}
		loop.Close()
	}
	return nil, nil
}

// Mount returns the root directory of the file system, on a mount of its own,
// as a descriptor that can be walked from, and moved to a place by
// move_mount(2), and not be read.
func (d *Disk) Mount() (*os.File, error) {
	root, err := mount(d.loop.Name())
	if err != nil {
		return nil, fmt.Errorf("cannot mount the disk: %w", err)
	}
	return root, nil
}

func mount(device string) (*os.File, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	for _, set := range []func() error{
		func() error { return unix.FsconfigSetString(fs, "source", device) },
		// What is deleted gives its room back to the file system below.
		func() error { return unix.FsconfigSetFlag(fs, "discard") },
		func() error { return unix.FsconfigSetFlag(fs, "noinit_itable") },
		func() error { return unix.FsconfigSetString(fs, "errors", "remount-ro") },
		func() error { return unix.FsconfigCreate(fs) },
	} {
		if err := set(); err != nil {
			return nil, os.NewSyscallError("fsconfig", err)
		}
	}
	const attr = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOATIME
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return os.NewFile(uintptr(fd), "disk"), nil
}

// Close lets go of the disk. It stays attached while a mount of it is in use.
func (d *Disk) Close() error { return d.loop.Close() }
