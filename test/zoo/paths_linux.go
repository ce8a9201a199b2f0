package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// namesInMounts and namesInProcess look for what names the host in all that
// tells of a process: what was planted, and any path that leads nowhere in the
// sandbox.
func namesInMounts(w *world) answer {
	return each([]string{"/proc/self/mountinfo", "/proc/self/mounts", "/proc/self/mountstats", "/proc/1/mountinfo"}, func(p string) answer { return namesIn(w, p) })
}

func namesInProcess(w *world) answer {
	var files []string
	for _, dir := range append(others(), "/proc/self", "/proc/thread-self") {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return broken("%v", err)
		}
		for _, e := range entries {
			if e.Name() == "cmdline" && !strings.HasPrefix(dir, "/proc/1") && !w.unconfined() { // holds what zoo was told
				continue
			}
			if e.Type() != os.ModeDir && !strings.Contains(e.Name(), "mount") && e.Name() != "mem" && e.Name() != "pagemap" && e.Name() != "clear_refs" {
				files = append(files, dir+"/"+e.Name())
			}
		}
		links, _ := filepath.Glob(dir + "/fd/*")
		files = append(files, links...)
	}
	if w.unconfined() {
		files = append(files, "/proc/"+itoa(os.Getpid())+"/cmdline")
	}
	slices.Sort(files)
	seen := 0
	a := each(files, func(p string) answer {
		a := namesIn(w, p)
		if a.errno == "own" {
			seen++
		}
		return a
	})
	if a.verdict == Blocked && seen < 20 {
		return broken("only %d of %d files could be read", seen, len(files))
	}
	return a
}

// namesIn looks at a file, or at where a link leads.
func namesIn(w *world, path string) answer {
	text, err := os.Readlink(path)
	if err != nil {
		if text, err = readSome(path); err != nil {
			return blocked("own") // it tells nothing
		}
	}
	for _, name := range append([]string{filepath.Dir(w.hostFile), filepath.Dir(w.socket)}, "sb_", "/agentfense/") {
		if strings.Contains(text, name) {
			return leak("%s has %s", path, name)
		}
	}
	if w.unconfined() { // where every path leads somewhere
		return blocked("own")
	}
	for _, m := range absolutePath.FindAllStringSubmatch(text, -1) {
		if !known(strings.ReplaceAll(m[1], `\040`, " ")) {
			return leak("%s has %.200s", path, m[1])
		}
	}
	return blocked("own")
}

func readSome(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if len(b) > 0 {
		return string(b), nil
	}
	return "", err
}

var absolutePath = regexp.MustCompile(`(?:^|[\s=:,\x00])(/[^\s:,\x00]*)`)

// known says that a path is the sandbox's own: it leads somewhere, as it is or
// below a mount; or it is the host's as every sandbox may know it, programs and
// the device that they lie on; or one of what lies behind /dev/shm and
// /home/agent, in a container behind what covers parts of /proc, and behind the
// workspace.
func known(path string) bool {
	for _, mount := range []string{"", workspace, "/proc"} {
		if unix.Lstat(mount+path, &unix.Stat_t{}) == nil {
			return true
		}
	}
	return slices.Contains([]string{"/shm", "/agent", "/null", "/empty"}, path) ||
		regexp.MustCompile(`^(/usr/.*|/s?bin|/dev/[^/]+|/proc/self/fd/\d+|/autogroup-\d+)$`).MatchString(path)
}

// behindScratch looks for what lies beside the directories that share a file
// system in a sandbox, and for a way from one to the other.
func behindScratch(w *world) answer {
	if w.unconfined() {
		if err := os.MkdirAll("/agent", 0o700); err != nil {
			return broken("%v", err)
		}
	}
	dirs := []string{"/tmp", "/dev/shm", "/home/agent"}
	return each(dirs, func(from string) answer {
		a := each([]string{"agent", "shm", "tmp/../agent", "../agent", "../shm"}, func(name string) answer {
			if name == filepath.Base(from) {
				return blocked("own")
			}
			return judge(closing(unix.Open(from+"/../"+name, unix.O_PATH|unix.O_CLOEXEC, 0)), "%s is beside %s", name, from)
		})
		if a.verdict != Blocked {
			return a
		}
		own, err := os.MkdirTemp(from, "zoo-")
		if err != nil {
			return judge(err, "")
		}
		if err := os.WriteFile(own+"/file", nil, 0o600); err != nil {
			return judge(err, "")
		}
		return each(dirs, func(to string) answer {
			if to == from {
				return blocked("own")
			}
			return each([]string{own, own + "/file"}, func(path string) answer {
				target := to + "/zoo-" + filepath.Base(path)
				return each([]error{
					unix.Link(path, target), unix.Rename(path, target), unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE),
				}, func(err error) answer { return judge(err, "moved %s to %s", path, to) })
			})
		})
	})
}
