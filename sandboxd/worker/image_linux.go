package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountImage makes a sandbox's root out of an image, which is "/" now, and sets
// the places that s is to name: below place, where nothing of the image can be.
// It returns a directory that stays empty.
//
// The root is an overlay of its own over the image, read-only in the end. So
// what has to be in it is put there whatever the image has in that place, and
// neither the engine's paths nor its mounts are seen inside.
func mountImage(s *Setup, place string, files []int) (empty string, err error) {
	if err := unix.Mount("sandbox", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=8m,nr_inodes=4096,mode=0755"); err != nil {
		return "", failed(StageMounts, "tmpfs", err)
	}
	for _, name := range []string{"root", "upper", "work", "empty", "view", "delta"} {
		if err := unix.Mkdir(place+"/"+name, 0o555); err != nil {
			return "", failed(StageMounts, name, err)
		}
	}
	s.Root, s.View = place+"/root", place+"/view"
	targets := []string{s.View}
	if s.Dir != "" {
		s.Dir, s.Disk = place+"/delta", false
		targets = append(targets, s.Dir)
	}
	if len(files) != len(targets) {
		return "", failed(StageMounts, "view and delta", errMalformed)
	}
	for n, target := range targets {
		if err := unix.MoveMount(files[n], "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return "", failed(StageMounts, filepath.Base(target), err)
		}
	}
	if err := overlayImage(place); err != nil {
		return "", failed(StageMounts, "image", err)
	}
	if err := fillImage(s); err != nil {
		return "", failed(StageMounts, "image", err)
	}
	if err := os.Remove(s.Root + place); err != nil { // what the engine made to mount on
		return "", failed(StageMounts, "image", err)
	}
	ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, s.Root, 0, &ro); err != nil {
		return "", failed(StageMounts, "image", err)
	}
	err = unix.Mount("", place, "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
	return place + "/empty", failed(StageMounts, "tmpfs", err)
}

// overlayImage mounts an overlay on the image at root. Nothing in the image's
// file systems can make it look elsewhere, and no host path shows in mountinfo.
func overlayImage(place string) error {
	var fds []any
	defer func() {
		for _, fd := range fds {
			unix.Close(fd.(int))
		}
	}()
	for _, dir := range []string{"/", place + "/upper", place + "/work"} {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	layers := fmt.Sprintf("lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", fds...)
	return unix.Mount("sandbox", place+"/root", "overlay", unix.MS_NOSUID|unix.MS_NODEV,
		layers+",redirect_dir=nofollow,metacopy=off,index=off,xino=off,volatile")
}

// fillImage makes what every sandbox has. Nothing else runs in the container, so
// a directory that was looked at stays one.
func fillImage(s *Setup) error {
	if err := os.Chmod(s.Root, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{"/dev", "/etc", "/home/agent", "/proc", "/run", "/tmp", "/var", "/workspace"} {
		if err := claimDir(s.Root, dir); err != nil {
			return err
		}
	}
	for path, content := range EtcFiles(s.UID, "/bin/sh") {
		if err := claimFile(s.Root+"/etc/"+path, content); err != nil {
			return err
		}
	}
	links := map[string]string{"/etc/mtab": "/proc/self/mounts", "/var/tmp": "../tmp"}
	if HasOutput(s.Writable) {
		links["/output"] = "workspace/output"
	}
	for path, target := range links {
		if err := claim(s.Root + path); err != nil {
			return err
		}
		if err := os.Symlink(target, s.Root+path); err != nil {
			return err
		}
	}
	return mountDevices(s.Root + "/dev")
}

func mountDevices(dev string) error {
	if err := unix.Mount("sandbox", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size=64k,nr_inodes=64,mode=0755"); err != nil {
		return err
	}
	for _, name := range []string{"/pts", "/shm"} {
		if err := os.Mkdir(dev+name, 0o755); err != nil {
			return err
		}
	}
	if err := MakeDevices(dev); err != nil {
		return err
	}
	return unix.Mount("", dev, "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC, "")
}

// claimDir makes every component of path below root a directory that everybody
// can enter, in place of whatever else the image has there.
func claimDir(root, path string) error {
	for part := range strings.SplitSeq(path[1:], "/") {
		root += "/" + part
		if fi, err := os.Lstat(root); err != nil || !fi.IsDir() {
			if err := claim(root); err != nil {
				return err
			}
			if err := os.Mkdir(root, 0o755); err != nil {
				return err
			}
		}
		if err := os.Chmod(root, 0o755); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

// claim removes whatever is at path, but for a directory with something in it.
func claim(path string) error {
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func claimFile(path, content string) error {
	if err := claim(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}
