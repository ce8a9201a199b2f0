package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// nameProbes try to reach or change what the policy hides or protects, by every
// kind of name that the kernel takes.
func nameProbes() []probe {
	return append([]probe{
		{"names/open", func(*world) answer { return each(hidden, func(p string) answer { return steal(in(p)) }) }},
		{"names/open-shown", func(*world) answer { return each(shown, func(p string) answer { return steal(in(p)) }) }},
		{"names/open-path-only", openPathOnly},
		{"names/open-again", openAgain},
		{"names/openat2", openat2},
		{"names/execute", execute},
		{"names/path-forms", pathForms},
		{"names/case-and-unicode", otherSpellings},
		{"names/symlink", symlinks},
		{"names/symlink-of-codebase", linksOfCodebase},
		{"names/hard-link", hardLinks},
		{"names/hard-link-by-descriptor", hardLinkByDescriptor},
		{"names/rename", func(*world) answer { return each(unreadable, moveOut) }},
		{"names/exchange", func(*world) answer { return each(unreadable, exchange) }},
		{"names/rename-ancestor", renameAncestor},
		{"names/chmod-shown", func(*world) answer { return each(shown, chmodShown) }},
		{"names/handle", handle},
		{"names/handle-forged", handleForged},
		{"names/parent-of-root", parentOfRoot},
		{"names/chroot", chrootOut},
		{"names/leaked-descriptors", leakedDescriptors},
		{"names/leaked-directory", leakedDirectory},
		{"names/behind-scratch", behindScratch},
		{"names/host-path", func(w *world) answer { return stealHost(w.hostFile) }},
	}, changeProbes()...)
}

// steal leaks if path gives the content of a secret.
func steal(path string) answer { return stealMark(path, secretMark) }

func stealHost(path string) answer { return stealMark(path, hostMark) }

func stealMark(path, mark string) answer {
	b, err := os.ReadFile(path)
	if err == nil && !bytes.Contains(b, []byte(mark)) {
		return blocked("own")
	}
	return judge(err, "read %s", path)
}

func openPathOnly(*world) answer {
	return each(hidden, func(p string) answer {
		return judge(closing(unix.Open(in(p), unix.O_PATH|unix.O_CLOEXEC, 0)), "opened %s", p)
	})
}

// openAgain opens what may be looked at, and then what that led to.
func openAgain(*world) answer {
	return each(unreadable, func(p string) answer {
		fd, err := unix.Open(in(p), unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(fd)
		_ = unix.Fchmodat(unix.AT_FDCWD, fdPath(fd), 0o777, 0)
		return steal(fdPath(fd))
	})
}

func fdPath(fd int) string { return "/proc/self/fd/" + itoa(fd) }

func openat2(*world) answer {
	root, err := unix.Open(workspace, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return broken("%v", err)
	}
	defer unix.Close(root)
	modes := []uint64{0, unix.RESOLVE_BENEATH, unix.RESOLVE_IN_ROOT, unix.RESOLVE_NO_MAGICLINKS, unix.RESOLVE_NO_SYMLINKS, unix.RESOLVE_NO_XDEV, 0x20}
	return each(modes, func(resolve uint64) answer {
		return each(unreadable, func(p string) answer {
			fd, err := unix.Openat2(root, p, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: resolve})
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EXDEV) { // not cached; a mount point
				return blocked("own")
			}
			return judge(closing(fd, err), "opened %s", p)
		})
	})
}

func execute(*world) answer {
	return each([]string{"shown/run.sh", "vault/inner.txt", "secret.env"}, func(p string) answer {
		_ = os.Chmod(in(p), 0o755)
		err := exec.Command(in(p)).Run()
		if errors.Is(err, unix.ENOEXEC) {
			return leak("the kernel read %s", p)
		}
		return judge(err, "ran %s", p)
	})
}

// pathForms name hidden files by other paths that mean the same.
func pathForms(*world) answer {
	var forms []string
	for _, p := range unreadable {
		dir, base := filepath.Split(p)
		forms = append(forms,
			workspace+"//"+p, workspace+"/./"+p, workspace+"/fixed/../"+p, "/../"+workspace+"/"+p,
			workspace+"/"+dir+"/../"+dir+base, "/usr/../workspace/"+p, "/proc/self/root/workspace/"+p,
			workspace+strings.Repeat("/.", 1000)+"/"+p, workspace+"/output/../"+p)
	}
	return each(forms, steal)
}

// otherSpellings name a hidden file as another file system would take it.
func otherSpellings(w *world) answer {
	if w.unconfined() {
		return none("the machine's file system folds neither case nor Unicode")
	}
	names := []string{
		"SECRET.ENV", "Secret.env", "secret.Env", "\uff53ecret.env", "se\u0441ret.env", "secret\u2024env", "secret.env\u200b", "\ufeffsecret.env",
		"secret.env.", "secret.env ", " secret.env", "secret.env::$DATA", "secret.env\\", "secret%2eenv", "s\u0065\u0301cret.env", "secret.env\u0000", "SECRET~1.ENV",
		"secret.en\u1d5b", "sec\u00adret.env", "\u017fecret.env", "secret.env\r", "secret.env\n",
	}
	return each(names, func(name string) answer { return steal(in(name)) })
}

func symlinks(*world) answer {
	return each(scratch(), func(dir string) answer {
		return each(unreadable, func(p string) answer {
			return each([]string{in(p), "../../workspace/" + p, "/proc/self/root/workspace/" + p, "../../" + p}, func(target string) answer {
				link := dir + "/link"
				_ = os.Remove(link)
				if err := os.Symlink(target, link); err != nil {
					return judge(err, "")
				}
				return steal(link)
			})
		})
	})
}

func linksOfCodebase(*world) answer {
	links := []string{"link-to-secret", "link-to-vault/inner.txt", "output/link-to-veiled"}
	a := each(links, func(p string) answer { return steal(in(p)) })
	if a.verdict != Blocked {
		return a
	}
	return each([]string{in("link-to-secret"), in("link-to-vault/inner.txt"), in("output/link-to-veiled"), in("link-out")}, func(p string) answer {
		b, err := os.ReadFile(p)
		return judge(err, "%s gave %.20q", p, b)
	})
}

func hardLinks(*world) answer {
	return each(scratch(), func(dir string) answer {
		return each(unreadable, func(p string) answer {
			if err := os.Link(in(p), dir+"/link"); err != nil {
				return judge(err, "")
			}
			_ = os.Chmod(dir+"/link", 0o777)
			return steal(dir + "/link")
		})
	})
}

func hardLinkByDescriptor(*world) answer {
	return each(scratch(), func(dir string) answer {
		return each(unreadable, func(p string) answer {
			fd, err := unix.Open(in(p), unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return judge(err, "")
			}
			defer unix.Close(fd)
			if err := unix.Linkat(fd, "", unix.AT_FDCWD, dir+"/link", unix.AT_EMPTY_PATH); err != nil {
				err = unix.Linkat(unix.AT_FDCWD, fdPath(fd), unix.AT_FDCWD, dir+"/link", unix.AT_SYMLINK_FOLLOW)
				if err != nil {
					return judge(err, "")
				}
			}
			_ = os.Chmod(dir+"/link", 0o777)
			return steal(dir + "/link")
		})
	})
}

func moveOut(p string) answer {
	return each(scratch(), func(dir string) answer {
		if err := os.Rename(in(p), dir+"/moved"); err != nil {
			return judge(err, "")
		}
		_ = os.Chmod(dir+"/moved", 0o777)
		return steal(dir + "/moved")
	})
}

func exchange(p string) answer {
	return each(scratch(), func(dir string) answer {
		mine := dir + "/mine"
		if err := os.WriteFile(mine, nil, 0o600); err != nil {
			return judge(err, "")
		}
		if err := unix.Renameat2(unix.AT_FDCWD, mine, unix.AT_FDCWD, in(p), unix.RENAME_EXCHANGE); err != nil {
			return judge(err, "")
		}
		_ = os.Chmod(mine, 0o777)
		return steal(mine)
	})
}

// renameAncestor moves a directory above hidden entries to where no rule names
// them.
func renameAncestor(*world) answer {
	type step struct{ from, to, then string }
	return each([]step{
		{"vault", "open-vault", "open-vault/inner.txt"},
		{"moved/a", "moved/c", "moved/c/veil.txt"},
		{"moved", "removed", "removed/a/veil.txt"},
		{"output", "outputs", "outputs/veiled.txt"},
		{"output/veil", "output/zoo-veil", "output/zoo-veil/inner.txt"},
		{"shown", "output/zoo-shown", "output/zoo-shown/inner.txt"},
	}, func(s step) answer {
		if err := os.Rename(in(s.from), in(s.to)); err != nil {
			return judge(err, "")
		}
		defer func() { _ = os.Rename(in(s.to), in(s.from)) }()
		return steal(in(s.then))
	})
}

func chmodShown(p string) answer {
	if err := os.Chmod(in(p), 0o777); err != nil {
		return judge(err, "")
	}
	return steal(in(p))
}

func handle(*world) answer {
	return each(unreadable, func(p string) answer {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, in(p), 0)
		if err != nil {
			return judge(err, "")
		}
		root, err := unix.Open(workspace, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(root)
		fd, err := unix.OpenByHandleAt(root, h, unix.O_RDONLY|unix.O_CLOEXEC)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(fd)
		return steal(fdPath(fd))
	})
}

// handleForged makes up the handles of the first files of a file system, by
// inode number, as exploits of containers do.
func handleForged(*world) answer {
	return each([]string{"/", workspace, "/usr", "/tmp"}, func(dir string) answer {
		root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(root)
		raw := make([]byte, 8)
		binary.NativeEndian.PutUint32(raw, 2) // the root of ext4
		return judge(closing(unix.OpenByHandleAt(root, unix.NewFileHandle(1, raw), unix.O_RDONLY|unix.O_CLOEXEC)), "opened inode 2")
	})
}

func parentOfRoot(w *world) answer {
	up := strings.Repeat("../", 200)
	return each([]string{up, "/" + up, workspace + "/" + up, "/proc/self/cwd/" + up, "/proc/self/root/" + up, "/dev/fd/../../../" + up}, func(p string) answer {
		return stealHost(p + strings.TrimPrefix(w.hostFile, "/"))
	})
}

// chrootOut is the classic way out of a chroot.
func chrootOut(w *world) answer {
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return broken("%v", err)
	}
	defer unix.Close(fd)
	if err := unix.Chroot("/tmp"); err != nil {
		return judge(err, "")
	}
	if err := unix.Fchdir(fd); err != nil {
		return judge(err, "")
	}
	return stealHost(strings.Repeat("../", 100) + strings.TrimPrefix(w.hostFile, "/"))
}

// leakedDescriptors looks at what a command is born with beside its standard
// streams and what the Go runtime opened.
func leakedDescriptors(*world) answer {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return broken("%v", err)
	}
	for _, e := range names {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || e.Name() == "0" || e.Name() == "1" || e.Name() == "2" || strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/proc/") {
			continue
		}
		return leak("%s is %s", e.Name(), target)
	}
	return blocked("own")
}

// leakedDirectory climbs from every directory that a process stands in.
func leakedDirectory(w *world) answer {
	return each([]string{"/proc/self/cwd", "/proc/1/cwd", "/proc/" + itoa(syscall.Getppid()) + "/cwd", "/proc/thread-self/cwd"}, func(p string) answer {
		return stealHost(p + "/" + strings.Repeat("../", 50) + strings.TrimPrefix(w.hostFile, "/"))
	})
}
