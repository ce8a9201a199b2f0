package main

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// changeProbes try to change what stands below write level.
func changeProbes() []probe {
	on := func(things []string, attack func(path string) error) func(*world) answer {
		return func(*world) answer {
			return each(things, func(p string) answer { return judge(attack(in(p)), "changed %s", p) })
		}
	}
	open := func(flags int) func(string) error {
		return func(p string) error { return closing(unix.Open(p, flags|unix.O_CLOEXEC, 0)) }
	}
	return []probe{
		{"change/write", on(frozen, open(unix.O_WRONLY))},
		{"change/read-write", on(frozen, open(unix.O_RDWR))},
		{"change/append", on(frozen, open(unix.O_WRONLY|unix.O_APPEND))},
		{"change/open-truncate", on(frozen, open(unix.O_RDONLY|unix.O_TRUNC))},
		{"change/truncate", on(frozen, func(p string) error { return os.Truncate(p, 0) })},
		{"change/chmod", on(frozen, func(p string) error { return os.Chmod(p, 0o777) })},
		{"change/chown", on(frozen, func(p string) error { return os.Lchown(p, os.Getuid(), os.Getgid()) })},
		{"change/times", on(frozen, func(p string) error { return os.Chtimes(p, time.Unix(1, 0), time.Unix(1, 0)) })},
		{"change/set-xattr", on(frozen, func(p string) error { return unix.Setxattr(p, "user.zoo", []byte("x"), 0) })},
		{"change/unlink", on(frozen, unix.Unlink)},
		{"change/create-in", on(frozenDirs, func(p string) error { return os.WriteFile(p+"/zoo-new", nil, 0o600) })},
		{"change/mkdir-in", on(frozenDirs, func(p string) error { return os.Mkdir(p+"/zoo-new", 0o700) })},
		{"change/symlink-in", on(frozenDirs, func(p string) error { return os.Symlink("x", p+"/zoo-new") })},
		{"change/fifo-in", on(frozenDirs, func(p string) error { return unix.Mkfifo(p+"/zoo-new", 0o600) })},
		{"change/tmpfile-in", on(frozenDirs, open2(unix.O_TMPFILE|unix.O_RDWR))},
		{"change/remove-dir", on(frozenDirs, os.RemoveAll)},
		{"change/rename-dir", on(frozenDirs, func(p string) error { return os.Rename(p, in("zoo-moved")) })},
		{"change/rename", func(*world) answer { return each(frozen, renameAway) }},
		{"change/rename-over", func(*world) answer { return each(frozen, renameOver) }},
		{"change/exchange", func(*world) answer { return each(frozen, exchangeFixed) }},
		{"change/rename-whiteout", func(*world) answer { return each(frozen, renameWhiteout) }},
		{"change/hard-link", func(*world) answer { return each(frozen, writeByLink) }},
		{"change/symlink", func(*world) answer { return each(frozen, writeBySymlink) }},
		{"change/reopen", func(*world) answer { return each(fixed, writeByReopen) }},
		{"change/map-shared", func(*world) answer { return each(fixed, writeByMapping) }},
		{"change/ancestor", changeByAncestor},
		{"change/root", func(*world) answer { return each(roots, changeRoot) }},
		{"change/whiteout-device", whiteoutDevice},
		{"change/overlay-xattr", overlayXattr},
		{"change/read-overlay-xattr", readOverlayXattr},
		{"change/inode-flags", func(*world) answer { return each(fixed, inodeFlags) }},
	}
}

// roots are directories of the sandbox that belong to no codebase.
var roots = []string{"/", "/usr", "/usr/bin", "/etc", "/dev", "/proc", "/run", "/var", "/home"}

func open2(flags int) func(string) error {
	return func(p string) error { return closing(unix.Open(p, flags|unix.O_CLOEXEC, 0o600)) }
}

func changeRoot(dir string) answer {
	path := dir + "/zoo-new"
	err := os.WriteFile(path, nil, 0o600)
	_ = os.Remove(path)
	return judge(err, "created %s", path)
}

// withScratch makes an attempt from each directory that can be written to.
func withScratch(attempt func(dir string) answer) answer { return each(scratch(), attempt) }

func renameAway(p string) answer {
	return withScratch(func(dir string) answer { return judge(os.Rename(in(p), dir+"/moved"), "moved %s", p) })
}

func renameOver(p string) answer {
	return withScratch(func(dir string) answer {
		if err := os.WriteFile(dir+"/mine", nil, 0o600); err != nil {
			return judge(err, "")
		}
		return judge(os.Rename(dir+"/mine", in(p)), "replaced %s", p)
	})
}

func exchangeFixed(p string) answer {
	return withScratch(func(dir string) answer {
		if err := os.WriteFile(dir+"/mine", nil, 0o600); err != nil {
			return judge(err, "")
		}
		return judge(unix.Renameat2(unix.AT_FDCWD, in(p), unix.AT_FDCWD, dir+"/mine", unix.RENAME_EXCHANGE), "exchanged %s", p)
	})
}

func renameWhiteout(p string) answer {
	a := withScratch(func(dir string) answer {
		return judge(unix.Renameat2(unix.AT_FDCWD, in(p), unix.AT_FDCWD, dir+"/moved", unix.RENAME_WHITEOUT), "whiteout at %s", p)
	})
	if a.verdict != Blocked {
		return a
	}
	// In its own directory, where nothing crosses a mount.
	return judge(unix.Renameat2(unix.AT_FDCWD, in(p), unix.AT_FDCWD, in(filepath.Dir(p))+"/zoo-moved", unix.RENAME_WHITEOUT), "whiteout at %s", p)
}

func writeByLink(p string) answer {
	return withScratch(func(dir string) answer {
		if err := os.Link(in(p), dir+"/link"); err != nil {
			return judge(err, "")
		}
		_ = os.Chmod(dir+"/link", 0o666)
		return judge(os.WriteFile(dir+"/link", []byte("changed"), 0), "wrote %s", p)
	})
}

func writeBySymlink(p string) answer {
	return withScratch(func(dir string) answer {
		if err := os.Symlink(in(p), dir+"/link"); err != nil {
			return judge(err, "")
		}
		return judge(os.WriteFile(dir+"/link", []byte("changed"), 0), "wrote %s", p)
	})
}

func writeByReopen(p string) answer {
	fd, err := unix.Open(in(p), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return judge(err, "")
	}
	defer unix.Close(fd)
	return each([]string{fdPath(fd), "/dev/fd/" + itoa(fd), "/proc/thread-self/fd/" + itoa(fd)}, func(path string) answer {
		return judge(os.WriteFile(path, []byte("changed"), 0), "wrote %s", p)
	})
}

func writeByMapping(p string) answer {
	fd, err := unix.Open(in(p), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		if fd, err = unix.Open(in(p), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return judge(err, "")
		}
	}
	defer unix.Close(fd)
	m, err := unix.Mmap(fd, 0, 4, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return judge(err, "")
	}
	if err := unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return judge(err, "")
	}
	m[0] = 'X'
	return leak("wrote %s", p)
}

// changeByAncestor moves the directory above protected files away, and puts
// another in its place.
func changeByAncestor(*world) answer {
	return each([]string{"output", "fixed", "shown", ""}, func(p string) answer {
		moved := workspace + "/zoo-old"
		if p == "" {
			moved = "/zoo-old"
		}
		if err := os.Rename(in(p), moved); err != nil {
			return judge(err, "")
		}
		_ = os.Rename(moved, in(p))
		return leak("moved %s", in(p))
	})
}

// whiteoutDevice forges overlayfs's sign for a deleted file.
func whiteoutDevice(*world) answer {
	return withScratch(func(dir string) answer {
		return judge(unix.Mknod(dir+"/whiteout", unix.S_IFCHR, 0), "made a whiteout")
	})
}

func overlayXattr(*world) answer {
	return withScratch(func(dir string) answer {
		return each([]string{"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.origin", "trusted.overlay.metacopy"}, func(name string) answer {
			return judge(unix.Setxattr(dir, name, []byte("y"), 0), "set %s", name)
		})
	})
}

func readOverlayXattr(w *world) answer {
	if w.unconfined() {
		if err := unix.Setxattr(in("output"), "trusted.overlay.origin", []byte("y"), 0); err != nil {
			return broken("%v", err)
		}
	}
	return each([]string{"", "output", "open.txt", "output/kept.txt"}, func(p string) answer {
		return each([]string{"trusted.overlay.origin", "trusted.overlay.upper", "trusted.overlay.redirect", "trusted.overlay.opaque"}, func(name string) answer {
			_, err := unix.Getxattr(in(p), name, make([]byte, 256))
			return judge(err, "read %s of %s", name, p)
		})
	})
}

// inodeFlags makes a file immutable, which a sandbox could use against the
// daemon that is to remove it.
func inodeFlags(p string) answer {
	attempt := func(path string) answer {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(fd)
		return each([]uintptr{unix.FS_IOC_SETFLAGS, unix.FS_IOC_SETFLAGS | 1<<32, 0x40046602, 0x401c5820, 0x401c5820 | 1<<40}, func(request uintptr) answer {
			_, err := call(unix.SYS_IOCTL, uintptr(fd), request, newArena().words(0x10, 0, 0, 0, 0, 0, 0))
			_, _ = call(unix.SYS_IOCTL, uintptr(fd), request, newArena().zeros(64))
			return judge(err, "made %s immutable", path)
		})
	}
	a := attempt(in(p))
	if a.verdict != Blocked {
		return a
	}
	return withScratch(func(dir string) answer {
		if err := os.WriteFile(dir+"/mine", nil, 0o600); err != nil {
			return judge(err, "")
		}
		return attempt(dir + "/mine")
	})
}
