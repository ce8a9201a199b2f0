package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ours matches the names that the product gives to what it makes.
var ours = regexp.MustCompile(`agentfense|sandboxd|(^|[/-])sb_[0-9a-f]{8}`)

// process is what /proc says of one.
type process struct {
	pid, parent string
	// started tells it from a later one with its number.
	started string
	words   string
}

// processes finds our descendants. We adopt orphans, so that is whatever was
// started since.
func processes() (things, error) {
	found := things{}
	all, err := allProcesses()
	if err != nil {
		return nil, err
	}
	for _, p := range descendants(all, strconv.Itoa(os.Getpid())) {
		found[p.pid+" "+p.started] = p.words
	}
	return found, nil
}

func descendants(all []process, of string) []process {
	var found []process
	for _, p := range all {
		if p.parent == of {
			found = append(append(found, p), descendants(all, p.pid)...)
		}
	}
	return found
}

func allProcesses() ([]process, error) {
	dirs, err := filepath.Glob("/proc/[1-9]*")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // gone
		}
		// pid (comm) state ppid ...; comm may hold anything.
		end := bytes.LastIndexByte(stat, ')')
		fields := strings.Fields(string(stat[end+1:]))
		if len(fields) < 20 {
			return nil, fmt.Errorf("cannot read %s/stat: %q", dir, stat)
		}
		args, _ := os.ReadFile(dir + "/cmdline")
		words := fmt.Sprintf("%s %s", stat[:end+1], bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
		all = append(all, process{filepath.Base(dir), fields[1], fields[19], words[:min(len(words), 200)]})
	}
	return all, nil
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
	all, err := allProcesses()
	if err != nil {
		return nil, err
	}
	self := strconv.Itoa(os.Getpid())
	hold("/proc/self/ns/net", self)
	for _, p := range descendants(all, self) {
		dir := filepath.Join("/proc", p.pid)
		hold(dir+"/ns/net", p.words)
		fds, _ := os.ReadDir(dir + "/fd")
		for _, fd := range fds {
			hold(dir+"/fd/"+fd.Name(), p.words)
		}
	}
	return found, eachMount(func(m mount) {
		if m.fstype == "nsfs" && strings.HasPrefix(m.root, "net:[") {
			found[m.root] = fmt.Sprintf("%s mounted at %s", m.root, m.point)
		}
	})
}
