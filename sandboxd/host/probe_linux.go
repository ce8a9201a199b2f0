package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/landlock/seccomp/install"
)

// CgroupRoot is where every distribution mounts cgroups.
const CgroupRoot = "/sys/fs/cgroup"

// Cgroups is what a machine has of control groups.
type Cgroups struct {
	// Version is 1 or 2; 0 means that none are mounted.
	Version int
	// Controllers are those that can bound a sandbox.
	Controllers []string
	// ReadOnly says that groups cannot be made.
	ReadOnly bool
}

// Has reports whether a controller is there.
func (c Cgroups) Has(controller string) bool { return slices.Contains(c.Controllers, controller) }

// HaveCgroups looks at what is mounted on [CgroupRoot].
func HaveCgroups() Cgroups { return cgroupsAt(CgroupRoot) }

func cgroupsAt(root string) Cgroups {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil {
		return Cgroups{}
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		list, _ := os.ReadFile(filepath.Join(root, "cgroup.controllers")) // none, then
		return Cgroups{
			Version: 2, Controllers: strings.Fields(string(list)),
			ReadOnly: st.Flags&unix.ST_RDONLY != 0,
		}
	}
	c := Cgroups{}
	for _, name := range []string{"cpu", "memory", "pids"} {
		// A directory that no hierarchy is mounted on takes any file.
		if unix.Statfs(filepath.Join(root, name), &st) != nil || st.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		c.Version = 1
		c.Controllers = append(c.Controllers, name)
		c.ReadOnly = c.ReadOnly || st.Flags&unix.ST_RDONLY != 0
	}
	return c
}

// HaveSeccomp reports whether filters can be loaded that refuse and kill.
func HaveSeccomp() bool { return install.Have() }

// HaveFUSE returns why this process cannot use the fuse device, or nil.
func HaveFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err
}

// HaveFilesystem returns why a file system type cannot be mounted, or nil. A
// module that the kernel would load counts.
func HaveFilesystem(name string) error {
	list, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == name {
			return nil
		}
	}
	if haveModule(name) {
		return nil
	}
	return fmt.Errorf("the kernel has no file system %q", name)
}

// haveModule reports whether the running kernel's modules include one.
func haveModule(name string) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	deps, err := os.ReadFile(filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:]), "modules.dep"))
	return err == nil && strings.Contains(string(deps), "/"+name+".ko")
}

// mkfsDirs are where distributions put programs for administrators.
var mkfsDirs = []string{"/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"}

// Mkfs returns the path of the program that makes ext4 file systems.
func Mkfs() (string, error) { return sbin("mkfs.ext4") }

// Fsck returns the path of the program that repairs ext4 file systems.
func Fsck() (string, error) { return sbin("e2fsck") }

func sbin(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil && filepath.IsAbs(path) {
		return path, nil
	}
	for _, dir := range mkfsDirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("cannot find %s", name)
}

// HaveDisk returns why the delta of a sandbox cannot be bounded, or nil: each
// bounded delta is an ext4 file system in a file of its own.
func HaveDisk() error {
	if _, err := os.Lstat("/dev/loop-control"); err != nil && !haveModule("loop") {
		return fmt.Errorf("no loop devices: %w", err)
	}
	if err := HaveFilesystem("ext4"); err != nil {
		return err
	}
	_, err := Mkfs()
	if err == nil {
		_, err = Fsck()
	}
	return err
}

// namespaces that every sandbox gets of its own.
var namespaces = []string{"mnt", "pid", "net", "ipc", "uts", "cgroup"}

// lacksNamespaces returns the kinds of namespaces that the kernel has not.
func lacksNamespaces() []string {
	var missing []string
	for _, name := range namespaces {
		if _, err := os.Lstat("/proc/self/ns/" + name); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}
