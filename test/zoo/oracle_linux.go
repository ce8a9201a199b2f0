package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// pairs are names that are hidden beside names of the same length, in the same
// directory, that never existed.
var pairs = [][2]string{
	{"secret.env", "sacret.env"},
	{"vault", "vbult"},
	{"vault/inner.txt", "vbult/inner.txt"},
	{"output/veiled.txt", "output/vailed.txt"},
	{"output/veil", "output/vail"},
	{"output/veil/inner.txt", "output/vail/inner.txt"},
	{"moved/a/veil.txt", "moved/a/vail.txt"},
	{"moved/a/veil", "moved/a/vail"},
	{"link-to-secret", "link-to-sacret"},
}

// oracleProbes ask whether a name is hidden or has never existed.
func oracleProbes() []probe {
	var all []probe
	for name, ask := range questions() {
		all = append(all, probe{"oracle/" + name, func(w *world) answer { return compareNames(w, ask) }})
	}
	for name, ask := range twinQuestions {
		all = append(all, probe{"oracle/" + name, func(*world) answer { return compareTwins("twins", ask) }})
	}
	all = append(all, probe{"oracle/remove-emptied", func(*world) answer { return compareTwins("moved", removeEmptied) }})
	slices.SortFunc(all, func(a, b probe) int { return strings.Compare(a.name, b.name) })
	return all
}

// compareNames asks of each pair, of the hidden name first, and cleans up.
func compareNames(w *world, ask func(path string) (string, error)) answer {
	if w.unconfined() {
		if err := os.Symlink("sacret.env", in("link-to-sacret")); err != nil {
			return broken("%v", err)
		}
	}
	return each(pairs, func(pair [2]string) answer {
		if pair[0] == "link-to-secret" {
			// Both links exist, where one can be made; they are followed.
			if err := os.Symlink("sacret.env", in(pair[1])); err != nil && !errors.Is(err, unix.EEXIST) {
				return blocked("same")
			}
			defer os.Remove(in(pair[1]))
			pair = [2]string{"link-to-secret/.", "link-to-sacret/."}
		}
		hiddenSays, hiddenErr := ask(in(pair[0]))
		neverSays, neverErr := ask(in(pair[1]))
		if !sameError(hiddenErr, neverErr) || hiddenSays != neverSays {
			return leak("%s: %v %q, but %s: %v %q", pair[0], hiddenErr, hiddenSays, pair[1], neverErr, neverSays)
		}
		if hiddenErr != nil {
			return blocked(errnoName(hiddenErr))
		}
		return blocked("same")
	})
}

// undo runs what removes the trace of a question, which must not change its
// answer.
func undo(err error, remove func()) error {
	if err == nil {
		remove()
	}
	return err
}

func questions() map[string]func(path string) (string, error) {
	asked := map[string]func(path string) (string, error){
		"stat":  func(p string) (string, error) { var st unix.Stat_t; return "", unix.Stat(p, &st) },
		"lstat": func(p string) (string, error) { var st unix.Stat_t; return "", unix.Lstat(p, &st) },
		"statx": func(p string) (string, error) {
			var st unix.Statx_t
			return "", unix.Statx(unix.AT_FDCWD, p, unix.AT_STATX_DONT_SYNC, unix.STATX_ALL, &st)
		},
		"access": func(p string) (string, error) { return "", unix.Access(p, unix.F_OK) },
		"faccessat2": func(p string) (string, error) {
			return "", unix.Faccessat2(unix.AT_FDCWD, p, unix.R_OK, unix.AT_EACCESS)
		},
		"open-dir":    func(p string) (string, error) { return "", closing(unix.Open(p, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)) },
		"open-create": func(p string) (string, error) { return "", create(p, 0) },
		"open-excl":   func(p string) (string, error) { return "", create(p, unix.O_EXCL) },
		"readlink":    func(p string) (string, error) { return os.Readlink(p) },
		"statfs":      func(p string) (string, error) { var st unix.Statfs_t; return "", unix.Statfs(p, &st) },
		"list":        func(p string) (string, error) { e, err := os.ReadDir(p); return fmt.Sprint(len(e)), err },
		"mkdir":       func(p string) (string, error) { return "", undo(unix.Mkdir(p, 0o700), func() { _ = unix.Rmdir(p) }) },
		"mkfifo":      func(p string) (string, error) { return "", undo(unix.Mkfifo(p, 0o600), func() { _ = unix.Unlink(p) }) },
		"mknod": func(p string) (string, error) {
			return "", undo(unix.Mknod(p, unix.S_IFREG|0o600, 0), func() { _ = unix.Unlink(p) })
		},
		"symlink":  func(p string) (string, error) { return "", undo(unix.Symlink("x", p), func() { _ = unix.Unlink(p) }) },
		"unlink":   func(p string) (string, error) { return "", unix.Unlink(p) },
		"rmdir":    func(p string) (string, error) { return "", unix.Rmdir(p) },
		"chmod":    func(p string) (string, error) { return "", unix.Chmod(p, 0o700) },
		"chown":    func(p string) (string, error) { return "", unix.Lchown(p, os.Getuid(), -1) },
		"truncate": func(p string) (string, error) { return "", unix.Truncate(p, 0) },
		"utime": func(p string) (string, error) {
			return "", unix.UtimesNanoAt(unix.AT_FDCWD, p, make([]unix.Timespec, 2), 0)
		},
		"get-xattr": func(p string) (string, error) { _, err := unix.Getxattr(p, "user.x", nil); return "", err },
		"set-xattr": func(p string) (string, error) { return "", unix.Setxattr(p, "user.x", nil, 0) },
		"inotify":   func(p string) (string, error) { return "", watch(p) },
		"execute":   func(p string) (string, error) { return "", unix.Exec(p, []string{p}, nil) },
		"chdir":     func(p string) (string, error) { return "", undo(unix.Chdir(p), func() { _ = unix.Chdir("/tmp") }) },
		"socket": func(p string) (string, error) {
			return "", connectUnix(p)
		},
		"fanotify-name": func(p string) (string, error) {
			return "", unix.FanotifyMark(-1, unix.FAN_MARK_ADD, unix.FAN_OPEN, -1, p)
		},
		"slash":   func(p string) (string, error) { var st unix.Stat_t; return "", unix.Stat(p+"/", &st) },
		"below":   func(p string) (string, error) { var st unix.Stat_t; return "", unix.Stat(p+"/x/y", &st) },
		"dot-dot": func(p string) (string, error) { var st unix.Stat_t; return "", unix.Stat(p+"/../x", &st) },
		"umount":  func(p string) (string, error) { return "", unix.Unmount(p, unix.UMOUNT_NOFOLLOW) },
		"mount": func(p string) (string, error) {
			return "", undo(unix.Mount("x", p, "tmpfs", 0, ""), func() { _ = unix.Unmount(p, 0) })
		},
	}
	delete(asked, "fanotify-name") // the descriptor is checked first
	maps.Copy(asked, moving())
	return asked
}

// moving are questions that take a second name, of the probe's own.
func moving() map[string]func(path string) (string, error) {
	return map[string]func(path string) (string, error){
		"link-from": func(p string) (string, error) {
			return withOwn(func(own string) error {
				return undo(unix.Link(p, own+"-new"), func() { _ = unix.Unlink(own + "-new") })
			})
		},
		"link-to": func(p string) (string, error) {
			return withOwn(func(own string) error { return undo(unix.Link(own, p), func() { _ = unix.Unlink(p) }) })
		},
		"rename-from": func(p string) (string, error) {
			return withOwn(func(own string) error {
				return undo(unix.Rename(p, own+"-new"), func() { _ = os.RemoveAll(own + "-new") })
			})
		},
		"rename-to": func(p string) (string, error) {
			return withOwn(func(own string) error {
				return undo(unix.Renameat2(unix.AT_FDCWD, own, unix.AT_FDCWD, p, unix.RENAME_NOREPLACE), func() { _ = unix.Unlink(p) })
			})
		},
		"rename-directory-over": func(p string) (string, error) {
			return withOwn(func(own string) error {
				_ = unix.Mkdir(own+"-dir", 0o700)
				return undo(unix.Rename(own+"-dir", p), func() { _ = unix.Rmdir(p) })
			})
		},
		"exchange": func(p string) (string, error) {
			return withOwn(func(own string) error {
				return unix.Renameat2(unix.AT_FDCWD, own, unix.AT_FDCWD, p, unix.RENAME_EXCHANGE)
			})
		},
		"move-to-hidden-parent": func(p string) (string, error) {
			return withOwn(func(own string) error {
				return undo(unix.Rename(own, p+"/new"), func() { _ = unix.Unlink(p + "/new") })
			})
		},
	}
}

// withOwn gives a question a file of its own: in the workspace where it may
// write there, else in /tmp.
func withOwn(question func(own string) error) (string, error) {
	dirs := scratch()
	if len(dirs) == 0 {
		return "", errors.New("no scratch")
	}
	defer func() {
		for _, d := range dirs {
			_ = os.RemoveAll(d)
		}
	}()
	own := dirs[len(dirs)-1] + "/own"
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		return "", err
	}
	return "", question(own)
}

func create(p string, flags int) error {
	var st unix.Stat_t
	fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if unix.Fstat(fd, &st) == nil && st.Size > 0 {
		return errors.New("there was content")
	}
	return unix.Unlink(p)
}

func watch(p string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, p, unix.IN_ALL_EVENTS)
	return err
}
