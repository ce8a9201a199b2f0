//go:build root

package view

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLevelsThroughTheKernel(t *testing.T) {
	w := newWorld(t)
	w.file("/read/f", "content", 0o640)
	w.file("/view/f", "secret", 0o644)
	w.link("/view/l", "f")
	w.link("/read/l", "f")
	w.file("/none/f", "secret", 0o644)
	w.file("/none/deep/open.md", "text", 0o644)
	v := w.view("/read/**=read", "/view/**=view", "/none/deep/*.md=read")
	for name, tt := range map[string]struct {
		path string
		mode uint32
		stat error
		read error // as root, who may do all that the server lets him
	}{
		"read file":      {"read/f", unix.S_IFREG | 0o640, nil, nil},
		"read link":      {"read/l", unix.S_IFLNK | 0o777, nil, nil},
		"view file":      {"view/f", unix.S_IFREG, nil, unix.EACCES},
		"view link":      {"view/l", unix.S_IFLNK | 0o777, nil, unix.EACCES},
		"view directory": {"view", unix.S_IFDIR | 0o555, nil, unix.EISDIR},
		"bare directory": {"none", unix.S_IFDIR | 0o555, nil, unix.EISDIR},
		"opened below":   {"none/deep/open.md", unix.S_IFREG | 0o644, nil, nil},
		"hidden file":    {"none/f", 0, unix.ENOENT, unix.ENOENT},
		"never existed":  {"none/g", 0, unix.ENOENT, unix.ENOENT},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(v.Path(), tt.path)
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); !errors.Is(err, tt.stat) || st.Mode != tt.mode {
				t.Errorf("lstat(%q) = %#o, %v, want %#o, %v", tt.path, st.Mode, err, tt.mode, tt.stat)
			}
			if tt.stat == nil && (st.Uid != sandboxID || st.Gid != sandboxID) {
				t.Errorf("lstat(%q) has owner %d:%d", tt.path, st.Uid, st.Gid)
			}
			if _, err := os.ReadFile(path); !errors.Is(err, tt.read) {
				t.Errorf("read(%q) = %v, want %v", tt.path, err, tt.read)
			}
		})
	}
	if out, err := asSandbox("/bin/cat", filepath.Join(v.Path(), "view/f")).CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("cat of a view file says %q, %v", out, err)
	}
}

func TestNothingCanChange(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o666)
	v := w.view("**/*=write", "/**=write")
	f := filepath.Join(v.Path(), "f")
	for name, err := range map[string]error{
		"write":  os.WriteFile(f, nil, 0o644),
		"create": os.WriteFile(f+"2", nil, 0o644),
		"unlink": os.Remove(f),
		"chmod":  os.Chmod(f, 0o777),
		"rename": os.Rename(f, f+"2"),
	} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v, want EROFS", name, err)
		}
	}
}

func TestNamesAreBytesThroughTheKernel(t *testing.T) {
	w := newWorld(t)
	names := []string{"\xff\xfe", "new\nline", " ", "\\", strings.Repeat("n", 255), "ünï"}
	for _, name := range names {
		w.file("/d/"+name, name, 0o644)
	}
	v := w.view("**/*=read")
	for _, name := range names {
		if got, err := os.ReadFile(filepath.Join(v.Path(), "d", name)); string(got) != name || err != nil {
			t.Errorf("read(%q) = %q, %v", name, got, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(v.Path(), "d")); len(entries) != len(names) || err != nil {
		t.Errorf("directory lists %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(v.Path(), strings.Repeat("n", 256))); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("stat of a name of 256 bytes: %v", err)
	}
}

func TestLargeFilesAndConcurrentReaders(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("0123456789abcde\n", 2<<20) // 32 MiB
	w.file("/large", large, 0o644)
	for i := range 200 {
		w.file(fmt.Sprintf("/small/%d", i), strings.Repeat(fmt.Sprint(i), i*10), 0o644)
	}
	v := w.view("**/*=read")
	want := sha256.Sum256([]byte(large))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			f, err := os.Open(filepath.Join(v.Path(), "large"))
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			h := sha256.New()
			if _, err := io.Copy(h, f); err != nil || [32]byte(h.Sum(nil)) != want {
				t.Errorf("large file has digest %x, %v", h.Sum(nil), err)
			}
		})
		wg.Go(func() {
			for i := range 200 {
				got, err := os.ReadFile(filepath.Join(v.Path(), "small", fmt.Sprint(i)))
				if string(got) != strings.Repeat(fmt.Sprint(i), i*10) || err != nil {
					t.Errorf("small file %d holds %d bytes, %v", i, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestHundredThousandEntries(t *testing.T) {
	w := newWorld(t)
	const count = 100_000
	d, size, err := w.batch.Put(strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		e := fileEntry(d, size)
		w.add(fmt.Sprintf("/d/file-%06d", i), e)
	}
	v := w.view("**/*=read", "**/*7=none@1")
	entries, err := os.ReadDir(filepath.Join(v.Path(), "d"))
	if err != nil || len(entries) != count/10*9 {
		t.Fatalf("directory lists %d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		if want := fmt.Sprintf("file-%06d", i/9*10+[]int{0, 1, 2, 3, 4, 5, 6, 8, 9}[i%9]); e.Name() != want {
			t.Fatalf("entry %d is %q, want %q", i, e.Name(), want)
		}
	}
	t.Logf("view process uses %d KiB", residentKiB(t, v.of.pid))
}

func TestStatfsIsNeutral(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	v := w.view("**/*=read")
	var st unix.Statfs_t
	if err := unix.Statfs(v.Path(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Blocks != 0 || st.Bfree != 0 || st.Files != 0 || st.Namelen != 255 || st.Bsize != 4096 {
		t.Errorf("statfs = %+v", st)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, v.Path()) && !strings.Contains(line, " ro,nosuid,nodev,noatime - fuse workspace ro,user_id=0,group_id=0,default_permissions,allow_other") {
			t.Errorf("mount table shows %q", line)
		}
	}
}

func TestProcessIsConfined(t *testing.T) {
	w := newWorld(t)
	w.file("/f", "content", 0o644)
	v := w.view("**/*=read")
	status := statusOf(t, v.of.pid)
	for field, want := range map[string]string{
		"Uid":        fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", viewID),
		"Gid":        fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", viewID),
		"Groups":     "",
		"CapInh":     "0000000000000000",
		"CapPrm":     "0000000000000000",
		"CapEff":     "0000000000000000",
		"CapBnd":     "0000000000000000",
		"CapAmb":     "0000000000000000",
		"NoNewPrivs": "1",
		"Seccomp":    "2",
		"Umask":      "0000",
	} {
		if status[field] != want {
			t.Errorf("%s is %q, want %q", field, status[field], want)
		}
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", v.of.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", v.of.pid, task.Name()))
		if err != nil || !strings.Contains(string(data), "CapBnd:\t0000000000000000") || !strings.Contains(string(data), "NoNewPrivs:\t1") || !strings.Contains(string(data), "Seccomp:\t2") {
			t.Errorf("thread %s is not confined: %v\n%s", task.Name(), err, data)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", v.of.pid))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 1 1 bytes") {
		t.Errorf("limits are %v\n%s", err, limits)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", v.of.pid))
	if err != nil || len(env) != 0 {
		t.Errorf("environment is %q, %v", env, err)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", v.of.pid))
	if err != nil || strings.Count(string(mounts), "\n") != 1 || !strings.Contains(string(mounts), "/objects / ro,nosuid,nodev,noexec,noatime") {
		t.Errorf("mounts are %v\n%s", err, mounts)
	}
	checkDescriptors(t, v.of.pid)
}

func checkDescriptors(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		switch {
		case target == "/dev/null", target == "/dev/fuse", target == "/",
			strings.HasPrefix(target, "socket:"), strings.HasPrefix(target, "pipe:"), strings.HasPrefix(target, "anon_inode:[event"):
		default:
			t.Errorf("descriptor %s is %s", e.Name(), target)
		}
	}
}

func statusOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	var kib int
	if _, err := fmt.Sscan(statusOf(t, pid)["VmRSS"], &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
