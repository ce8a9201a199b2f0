package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ours matches the names that the product gives to what it makes.
var ours = regexp.MustCompile(`agentfense|sandboxd|(^|[/-])sb_[0-9a-f]{8}`)

// processes finds our programs by name, and payloads by living in a mount or
// process namespace other than ours.
func processes() (things, error) {
	found := things{}
	home, err := spaces("self")
	if err != nil {
		return nil, err
	}
	return found, eachProcess(func(pid string) {
		dir := filepath.Join("/proc", pid)
		exe, err := os.Readlink(dir + "/exe")
		if err != nil {
			return // kernel thread, or gone
		}
		args, _ := os.ReadFile(dir + "/cmdline")
		comm, _ := os.ReadFile(dir + "/comm")
		argv0, _, _ := bytes.Cut(args, []byte{0})
		named := ours.MatchString(filepath.Base(exe)) || ours.Match(comm) || ours.MatchString(filepath.Base(string(argv0)))
		own, err := spaces(pid)
		if err != nil || (!named && own == home) {
			return
		}
		found[pid+" "+startTime(dir)] = fmt.Sprintf("%s %s (%s)", pid, bytes.ReplaceAll(args, []byte{0}, []byte{' '}), exe)
	})
}

func spaces(pid string) (string, error) {
	mnt, err := os.Readlink("/proc/" + pid + "/ns/mnt")
	if err != nil {
		return "", err
	}
	pidns, err := os.Readlink("/proc/" + pid + "/ns/pid")
	return mnt + pidns, err
}

// startTime tells a process from a later one with its number.
func startTime(dir string) string {
	stat, _ := os.ReadFile(dir + "/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

func eachProcess(visit func(pid string)) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name[0] >= '1' && name[0] <= '9' {
			visit(name)
		}
	}
	return nil
}

// namespaces finds network namespaces by who holds them.
func namespaces() (things, error) {
	found := things{}
	hold := func(link, holder string) {
		target, err := os.Readlink(link)
		if err == nil && strings.HasPrefix(target, "net:[") && found[target] == "" {
			found[target] = fmt.Sprintf("%s held by %s", target, holder)
		}
	}
	err := eachProcess(func(pid string) {
		dir := filepath.Join("/proc", pid)
		comm, _ := os.ReadFile(dir + "/comm")
		holder := pid + " " + strings.TrimSpace(string(comm))
		hold(dir+"/ns/net", holder)
		fds, _ := os.ReadDir(dir + "/fd")
		for _, fd := range fds {
			hold(dir+"/fd/"+fd.Name(), holder+" fd "+fd.Name())
		}
	})
	if err != nil {
		return nil, err
	}
	return found, eachMount(func(m mount) {
		if m.fstype == "nsfs" && strings.HasPrefix(m.root, "net:[") {
			found[m.root] = fmt.Sprintf("%s mounted at %s", m.root, m.point)
		}
	})
}
