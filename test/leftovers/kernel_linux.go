package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	goebpf "github.com/cilium/ebpf"
)

// mount is one line of mountinfo.
type mount struct{ id, root, point, fstype, source string }

func eachMount(visit func(mount)) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		head, tail, ok := strings.Cut(line, " - ")
		before, after := strings.Fields(head), strings.Fields(tail)
		if !ok || len(before) < 5 || len(after) < 2 {
			return fmt.Errorf("cannot read mountinfo line %q", line)
		}
		visit(mount{id: before[0], root: before[3], point: before[4], fstype: after[0], source: after[1]})
	}
	return nil
}

func mounts() (things, error) {
	found := things{}
	return found, eachMount(func(m mount) {
		found[m.id+" "+m.point] = fmt.Sprintf("%s (%s, %s)", m.point, m.fstype, m.source)
	})
}

func cgroups() (things, error) {
	found := things{}
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && e.IsDir() && ours.MatchString(e.Name()) {
			found[path] = path
		}
		return err
	})
	return found, err
}

func connections() (things, error) {
	const dir = "/sys/fs/fuse/connections"
	found := things{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		found[e.Name()] = filepath.Join(dir, e.Name())
	}
	return found, nil
}

// programs finds BPF programs, but for those that systemd loads for its units.
func programs() (things, error) {
	found := things{}
	for id := goebpf.ProgramID(0); ; {
		next, err := goebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, goebpf.ErrNotSupported) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		id = next
		if words := describe(id); words != "" {
			found[fmt.Sprint(id)] = words
		}
	}
}

// describe is empty for a program that is gone or not of interest.
func describe(id goebpf.ProgramID) string {
	p, err := goebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer func() { _ = p.Close() }()
	info, err := p.Info()
	if err != nil || strings.HasPrefix(info.Name, "sd_") {
		return ""
	}
	return fmt.Sprintf("program %d %s (%v)", id, info.Name, info.Type)
}

// files finds entries of ours in shared directories, and all in a TMPDIR of our
// own.
func files() (things, error) {
	found := things{}
	look := func(dir string, wanted func(string) bool) error {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); wanted(e.Name()) {
				found[path] = path
			}
		}
		return nil
	}
	own := filepath.Clean(os.TempDir())
	for _, dir := range []string{"/tmp", "/run", "/var/tmp", "/dev/shm", "/var/lib"} {
		if err := look(dir, ours.MatchString); err != nil {
			return nil, err
		}
	}
	if own == "/tmp" {
		return found, nil
	}
	delete(found, own)
	return found, look(own, func(string) bool { return true })
}
