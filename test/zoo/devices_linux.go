package main

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// deviceProbes reach hardware, the host's memory or another's terminal.
func deviceProbes() []probe {
	all := []probe{
		{"kernel/mknod-memory", makeNode(unix.S_IFCHR, 1, 1)},
		{"kernel/mknod-null", makeNode(unix.S_IFCHR, 1, 3)},
		{"kernel/mknod-disk", makeNode(unix.S_IFBLK, 254, 0)},
		{"kernel/mknod-fuse", makeNode(unix.S_IFCHR, 10, 229)},
		{"kernel/device-disk", anyDisk},
		{"kernel/device-rewrite", rewriteDevice},
	}
	for name, path := range map[string]string{
		"mem": "/dev/mem", "port": "/dev/port", "kmsg": "/dev/kmsg", "fuse": "/dev/fuse", "tun": "/dev/net/tun", "loop": "/dev/loop-control",
		"kvm": "/dev/kvm", "console": "/dev/console", "userfaultfd": "/dev/userfaultfd", "snapshot": "/dev/snapshot", "vsock": "/dev/vsock",
		"terminal": "/dev/tty0", "watchdog": "/dev/watchdog", "nvram": "/dev/nvram",
	} {
		all = append(all, probe{"kernel/device-" + name, openAny(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY)})
	}
	for name, request := range map[string]uintptr{"tiocsti": unix.TIOCSTI, "tiocsetd": unix.TIOCSETD, "tiocvhangup": 0x5437} {
		all = append(all,
			probe{"kernel/" + name, func(w *world) answer { return typeInto(w, request) }},
			probe{"kernel/" + name + "-high-bits", func(w *world) answer {
				return each([]uintptr{1 << 32, 1 << 63, 0xdeadbeef << 32}, func(high uintptr) answer { return typeInto(w, high|request) })
			}})
	}
	return append(all, probe{"kernel/tioclinux", consoleRequest(unix.TIOCLINUX)}, probe{"kernel/tioccons", consoleRequest(unix.TIOCCONS)})
}

func makeNode(kind uint32, major, minor uint32) func(*world) answer {
	return func(*world) answer {
		return each(append(scratch(), "/dev/shm"), func(dir string) answer {
			path := dir + "/zoo-node"
			err := unix.Mknod(path, kind|0o666, int(unix.Mkdev(major, minor)))
			_ = os.Remove(path)
			return judge(err, "made %s", path)
		})
	}
}

// anyDisk opens every block device that there is a name for.
func anyDisk(*world) answer {
	names := []string{"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/dm-0", "/dev/ram0"}
	found, _ := filepath.Glob("/dev/block/*")
	return each(append(names, found...), func(p string) answer {
		return judge(closing(unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)), "opened %s", p)
	})
}

// rewriteDevice replaces a device that others trust.
func rewriteDevice(w *world) answer {
	return each([]string{"/dev/null", "/dev/urandom", "/dev/tty"}, func(p string) answer {
		return each([]func() error{
			func() error { return os.Chmod(p, 0o666) },
			func() error { return os.Rename(p, p+"-zoo") },
			func() error { return os.Symlink("/tmp", "/dev/zoo") },
		}, func(attack func() error) answer { return judge(attack(), "changed %s", p) })
	})
}

// terminal makes a pseudo-terminal of the probe's own.
func terminal() (int, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, err
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return -1, err
	}
	return unix.Open("/dev/pts/"+itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
}

// typeInto asks a terminal to take a character as if it had been typed.
func typeInto(_ *world, request uintptr) answer {
	fd, err := terminal()
	if err != nil {
		return broken("no terminal: %v", err)
	}
	defer unix.Close(fd)
	argument := newArena().words(0)
	_, err = call(unix.SYS_IOCTL, uintptr(fd), request, argument)
	return judge(err, "the terminal took it")
}

// consoleRequest is one that the machine's console knows.
func consoleRequest(request uintptr) func(*world) answer {
	return func(w *world) answer {
		fd, err := unix.Open("/dev/tty0", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			if fd, err = terminal(); err != nil {
				return broken("no terminal: %v", err)
			}
		}
		defer unix.Close(fd)
		_, err = call(unix.SYS_IOCTL, uintptr(fd), request, newArena().words(6))
		if w.unconfined() && errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
			return leak("the terminal's driver was asked: %v", err)
		}
		return judge(err, "the console took it")
	}
}
