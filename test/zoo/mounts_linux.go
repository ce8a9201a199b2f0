package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mountProbes change what names mean. In a machine that is to be thrown away
// they work in a mount namespace of their own.
func mountProbes() []probe {
	var all []probe
	for _, m := range mountAttacks {
		all = append(all, probe{"kernel/" + m.name, func(w *world) answer {
			dir, err := os.MkdirTemp("/tmp", "zoo-")
			if err != nil {
				return broken("%v", err)
			}
			if w.unconfined() {
				if err := own(dir); err != nil {
					return broken("%v", err)
				}
			}
			return gated(w, m.attack(w, dir))
		}})
	}
	return all
}

var mountAttacks = []struct {
	name   string
	attack func(w *world, dir string) error
}{
	{"mount-tmpfs", func(_ *world, dir string) error { return unix.Mount("x", dir, "tmpfs", 0, "") }},
	{"mount-proc", func(_ *world, dir string) error { return unix.Mount("x", dir, "proc", 0, "") }},
	{"mount-bind", func(_ *world, dir string) error { return unix.Mount(in("fixed"), dir, "", unix.MS_BIND, "") }},
	{"mount-move", func(_ *world, dir string) error { return unix.Mount(dir, "/tmp", "", unix.MS_MOVE, "") }},
	{"mount-shared", func(_ *world, _ string) error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") }},
	{"mount-remount", func(*world, string) error { return unix.Mount("", "/tmp", "", unix.MS_REMOUNT|unix.MS_BIND, "") }},
	{"mount-overlay", func(_ *world, dir string) error {
		return unix.Mount("x", dir, "overlay", 0, "lowerdir=/usr:/etc")
	}},
	{"mount-fuse", func(_ *world, dir string) error {
		return unix.Mount("x", dir, "fuse", 0, "fd=0,rootmode=40000,user_id=0,group_id=0")
	}},
	{"umount", func(_ *world, dir string) error {
		_ = unix.Mount("x", dir, "tmpfs", 0, "")
		return unix.Unmount(dir, unix.MNT_DETACH)
	}},
	{"umount-workspace", func(w *world, dir string) error {
		if w.unconfined() {
			return unix.Unmount(in("twins"), unix.MNT_DETACH)
		}
		return unix.Unmount(workspace, unix.MNT_DETACH)
	}},
	{"pivot-root", func(*world, string) error { return unix.PivotRoot(".", ".") }},
	{"chroot", func(*world, string) error { return unix.Chroot("/tmp") }},
	{"fsopen", func(_ *world, _ string) error { return closing(unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)) }},
	{"fspick", func(_ *world, dir string) error {
		_ = unix.Mount("x", dir, "tmpfs", 0, "")
		return closing(unix.Fspick(unix.AT_FDCWD, dir, unix.FSPICK_CLOEXEC))
	}},
	{"fsconfig", func(*world, string) error { return unix.FsconfigCreate(-1) }},
	{"fsmount", func(*world, string) error { return closing(unix.Fsmount(-1, unix.FSMOUNT_CLOEXEC, 0)) }},
	{"open-tree-clone", func(*world, string) error {
		return closing(unix.OpenTree(unix.AT_FDCWD, workspace, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE))
	}},
	{"open-tree", func(*world, string) error {
		return closing(unix.OpenTree(unix.AT_FDCWD, workspace, unix.OPEN_TREE_CLOEXEC))
	}},
	{"move-mount", func(_ *world, dir string) error {
		return unix.MoveMount(unix.AT_FDCWD, dir, unix.AT_FDCWD, "/tmp", 0)
	}},
	{"mount-setattr", func(*world, string) error {
		return unix.MountSetattr(unix.AT_FDCWD, "/tmp", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID})
	}},
	{"statmount", func(*world, string) error {
		return rawCall(457, newArena().words(24, 0, 1, 0, 1, 0), newArena().zeros(512), 512, 0)
	}},
	{"listmount", func(*world, string) error {
		return rawCall(458, newArena().words(24, 0, 0xffffffff, 0xffffffff, 0, 0), newArena().zeros(512), 64, 0)
	}},
	{"open-tree-attr", func(*world, string) error {
		return rawCall(467, uintptr(^uint(99)), newArena().text("/tmp"), unix.OPEN_TREE_CLONE, newArena().zeros(32), 32)
	}},
}

func rawCall(nr uintptr, args ...uintptr) error {
	_, err := call(nr, args...)
	return err
}

// own gives the calling thread, which ends with the probe, a mount namespace in
// which dir is a mount.
func own(dir string) error {
	lockThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(dir, dir, "", unix.MS_BIND, ""))
}
