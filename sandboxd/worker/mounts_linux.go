package worker

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// MaxTerminals is how many pseudo-terminals a sandbox may have. Without a cap,
// one sandbox could use up those of the host.
const MaxTerminals = 256

const (
	// scratchInodes is how many files the scratch file system holds, and
	// memoryPerInode how much of a memory limit it takes for each of them: an
	// empty file takes about 1,300 bytes of the kernel's.
	scratchInodes  = 1 << 19
	memoryPerInode = 1 << 14

	// overlayOptions make the delta plain: no redirects, no metadata-only
	// copies, one device number, and no sync of a delta that ends with the
	// sandbox anyway.
	overlayOptions = ",xino=on,redirect_dir=off,metacopy=off,index=off,volatile"
)

// masked files of /proc tell of the host or act on it.
var masked = []string{
	"cmdline", "diskstats", "interrupts", "kallsyms", "kcore", "key-users", "keys", "kmsg", "latency_stats",
	"locks", "partitions", "sched_debug", "softirqs", "swaps", "sysrq-trigger", "timer_list", "timer_stats",
}

// emptied directories of /proc do so too.
var emptied = []string{"acpi", "asound", "driver", "fs", "pressure", "scsi"}

// readOnly parts of /proc are settings of the kernel.
var readOnly = []string{"sys", "bus", "irq"}

// makePrivate keeps mounts and unmounts from going in or out.
func makePrivate() error {
	return failed(StageMounts, "/", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// mountAll fills the prepared root with what each sandbox has of its own. It
// works in the worker's own mount namespace. Empty is a directory that stays so.
func mountAll(s *Setup, disk int, empty string) error {
	if s.Disk {
		// Overlayfs takes no layers from a mount that is nowhere. It goes with
		// the old root.
		if err := unix.MoveMount(disk, "", unix.AT_FDCWD, s.Dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return failed(StageMounts, "disk", err)
		}
	}
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	for _, m := range []struct {
		target, fstype string
		flags          uintptr
		data           string
	}{
		{"/proc", "proc", quiet | unix.MS_NOEXEC, ""},
		{"/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, fmt.Sprintf("newinstance,ptmxmode=0666,mode=0620,uid=%d,gid=%d,max=%d", s.UID, s.UID, MaxTerminals)},
	} {
		if err := unix.Mount(m.fstype, s.Root+m.target, m.fstype, m.flags, m.data); err != nil {
			return failed(StageMounts, m.target, err)
		}
	}
	if err := mountScratch(s); err != nil {
		return err
	}
	if s.Memory > 0 {
		if err := boundIPC(s.Root+"/proc/sys/kernel/", s.Memory); err != nil {
			return err
		}
	}
	if err := maskProc(s.Root, empty); err != nil {
		return err
	}
	return mountWorkspace(s)
}

// mountScratch puts directories of one private tmpfs where a sandbox keeps what
// nobody commits, so that its size bounds all of them together.
func mountScratch(s *Setup) error {
	const first = "/tmp"
	inodes := int64(scratchInodes)
	if s.Memory > 0 {
		inodes = min(inodes, s.Memory/memoryPerInode)
	}
	data := fmt.Sprintf("size=%d,nr_inodes=%d,mode=0755", s.Scratch, inodes)
	if err := unix.Mount("tmpfs", s.Root+first, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return failed(StageMounts, first, err)
	}
	for _, dir := range []struct {
		target string
		mode   uint32
	}{{"/dev/shm", 0o1777}, {"/home/agent", 0o700}, {first, 0o1777}} { // the last one covers the others
		source := s.Root + first + "/" + filepath.Base(dir.target)
		err := unix.Mkdir(source, 0)
		if err == nil {
			err = unix.Chown(source, int(s.UID), int(s.UID))
		}
		if err == nil {
			err = unix.Chmod(source, dir.mode)
		}
		if err == nil {
			err = unix.Mount(source, s.Root+dir.target, "", unix.MS_BIND, "")
		}
		if err != nil {
			return failed(StageMounts, dir.target, err)
		}
	}
	return nil
}

// emptyDir is a directory of the prepared root that stays empty.
const emptyDir = "/var/empty"

// maskProc hides what is not the sandbox's business. The null device and the
// empty directory that cover it are the prepared root's, which is read-only.
func maskProc(root, empty string) error {
	proc := root + "/proc/"
	for _, name := range masked {
		err := unix.Mount(root+"/dev/null", proc+name, "", unix.MS_BIND, "")
		if err != nil && err != unix.ENOENT {
			return failed(StageMounts, "/proc/"+name, err)
		}
	}
	for _, name := range emptied {
		err := unix.Mount(empty, proc+name, "", unix.MS_BIND, "")
		if err != nil && err != unix.ENOENT {
			return failed(StageMounts, "/proc/"+name, err)
		}
	}
	for _, name := range readOnly {
		err := unix.Mount(proc+name, proc+name, "", unix.MS_BIND, "")
		if err == unix.ENOENT {
			continue
		}
		if err == nil {
			err = unix.Mount("", proc+name, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}
		if err != nil {
			return failed(StageMounts, "/proc/"+name, err)
		}
	}
	return nil
}

// mountWorkspace puts the view, or an overlay on it, at /workspace. The layers
// are given by descriptor, so that no host path shows in mountinfo.
func mountWorkspace(s *Setup) error {
	target := s.Root + "/workspace"
	if s.Dir == "" {
		err := unix.Mount(s.View, target, "", unix.MS_BIND, "")
		if err == nil {
			err = unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
		}
		return failed(StageMounts, "/workspace", err)
	}
	var fds []any
	defer func() {
		for _, fd := range fds {
			unix.Close(fd.(int))
		}
	}()
	for _, dir := range []string{s.View, s.Dir + "/upper", s.Dir + "/work"} {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return failed(StageMounts, "/workspace", err)
		}
		fds = append(fds, fd)
	}
	layers := fmt.Sprintf("lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", fds...)
	err := unix.Mount("workspace", target, "overlay", unix.MS_NOSUID|unix.MS_NODEV, layers+overlayOptions)
	if err != nil {
		return failed(StageMounts, "/workspace", err)
	}
	return applyPlan(s, target)
}

// applyPlan makes the places writable that the plan names, and no others.
// Entries are bound parents first, each over whatever its parent became.
func applyPlan(s *Setup, target string) error {
	root, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(StagePlan, "/workspace", err)
	}
	defer unix.Close(root)
	writable := make(map[string]bool, len(s.Writable)+len(s.Files)+len(s.Protected))
	for _, path := range s.Protected {
		writable[path] = false
	}
	for _, path := range append(s.Writable, s.Files...) {
		writable[path] = true
	}
	if !writable["/"] {
		ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &ro); err != nil {
			return failed(StagePlan, "/workspace", err)
		}
	}
	delete(writable, "/")
	for _, path := range slices.Sorted(maps.Keys(writable)) {
		if err := bindSelf(root, path, writable[path]); err != nil {
			return failed(StagePlan, path, err)
		}
	}
	return nil
}

// bindSelf mounts the entry at path over itself, so that it cannot be renamed
// or removed, read-write or read-only. No component may be a link: what lies
// in the workspace is the sandbox's.
func bindSelf(root int, path string, writable bool) error {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	at, err := unix.Openat2(root, "."+path, &how)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	tree, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if writable {
		attr = unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// enter makes root the root of the file system and drops all else.
func enter(root string) error {
	if err := unix.Chdir(root); err != nil {
		return failed(StagePivot, "chdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return failed(StagePivot, "pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return failed(StagePivot, "detach the old root", err)
	}
	return failed(StagePivot, "/workspace", unix.Chdir("/workspace"))
}
