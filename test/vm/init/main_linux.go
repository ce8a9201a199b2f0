// Command init is the first process of a test machine: it loads the modules
// that it finds, makes the disk the root, and runs the tests there. When it
// ends the kernel panics, which ends the machine.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("vm: init:", err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	if err := loadAll("/modules"); err != nil {
		return err
	}
	if err := unix.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("cannot mount /dev: %w", err)
	}
	if err := unix.Mount("/dev/vda", "/root", "ext4", 0, ""); err != nil {
		return fmt.Errorf("cannot mount the disk: %w", err)
	}
	if err := enter("/root"); err != nil {
		return fmt.Errorf("cannot make the disk the root: %w", err)
	}
	c := exec.Command("/bin/bash", "/vm/run")
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c.Run()
}

// loadAll loads the modules in dir in whatever order their symbols resolve.
func loadAll(dir string) error {
	waiting, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return err
	}
	for len(waiting) > 0 {
		var again []string
		var last error
		for _, m := range waiting {
			if err := load(m); errors.Is(err, unix.ENOENT) {
				again, last = append(again, m), err
			} else if err != nil {
				return fmt.Errorf("cannot load %s: %w", m, err)
			}
		}
		if len(again) == len(waiting) {
			return fmt.Errorf("cannot load %s: %w", again, last)
		}
		waiting = again
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// enter moves the mount at dir over the initial root, which cannot be pivoted.
func enter(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}
