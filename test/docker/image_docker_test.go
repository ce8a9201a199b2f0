//go:build docker

package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// What images are made of: packages of the host, with the libraries they need.
var (
	fewPackages = []string{
		"base-files", "bash", "coreutils", "grep",
		"libc6", "libtinfo6", "libselinux1", "libpcre2-8-0", "libacl1", "libattr1", "libgmp10", "libssl3",
	}
	morePackages = append([]string{
		"dash", "findutils", "sed", "mawk", "git", "libexpat1", "zlib1g", "libffi8",
		"python3-minimal", "python3", "python3.11-minimal", "python3.11", "libpython3.11-minimal", "libpython3.11-stdlib",
		"python3-pytest", "python3-pluggy", "python3-iniconfig", "python3-packaging", "python3-attr",
		"libbz2-1.0", "liblzma5", "libdb5.3", "libsqlite3-0", "libuuid1", "libncursesw6", "libreadline8", "libcap2", "libmd0", "libbsd0",
	}, fewPackages...)
)

// left are files that nothing here needs.
var left = regexp.MustCompile(`^/usr/(share/(doc|man|locale|info)|lib/x86_64-linux-gnu/gconv)/`)

// merged are directories that a merged /usr has elsewhere than dpkg says.
var merged = regexp.MustCompile(`^/(bin|sbin|lib|lib64)/`)

// hostTar writes the files of packages of the host to a tar file.
func hostTar(path string, packages []string) error {
	list, err := exec.Command("dpkg", append([]string{"-L"}, packages...)...).Output()
	if len(list) == 0 {
		return fmt.Errorf("cannot list the packages' files: %w", err)
	}
	names := []string{"bin", "sbin", "lib", "lib64", "usr/bin/awk", "etc/alternatives/awk", "usr/bin/sh"}
	for line := range strings.Lines(string(list)) {
		name := merged.ReplaceAllString(strings.TrimSpace(line), "/usr/$1/")
		if fi, err := os.Lstat(name); err == nil && !fi.IsDir() && !left.MatchString(name) {
			names = append(names, name[1:])
		}
	}
	slices.Sort(names)
	c := exec.Command("tar", "-C", "/", "--no-recursion", "--hard-dereference", "-cf", path, "-T", "-")
	c.Stdin = strings.NewReader(strings.Join(slices.Compact(names), "\n"))
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a tar: %w\n%s", err, out)
	}
	return nil
}

// file is an entry of an image that it has beside, or in place of, the host's.
type file struct {
	path, content, link string
	mode                int64
	kind                byte // of package tar; zero is a regular file
	capability          string
}

// withFiles returns the base image's tar with other files in it. What lies below
// a replaced directory goes with it.
func withFiles(base string, files ...file) (io.Reader, error) {
	f, err := os.Open(base)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(files, func(f file) bool {
			return h.Name == f.path || f.kind != tar.TypeReg && strings.HasPrefix(h.Name, f.path+"/") && f.kind != 0
		}) {
			continue
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, r); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		h := &tar.Header{Name: f.path, Linkname: f.link, Mode: f.mode, Typeflag: f.kind, Size: int64(len(f.content))}
		if f.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if f.capability != "" {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": f.capability}
		}
		if f.kind == tar.TypeBlock || f.kind == tar.TypeChar {
			h.Devmajor, h.Devminor = 1, 1 // the machine's memory
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			return nil, err
		}
	}
	return &out, w.Close()
}
