package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// twinQuestions are asked of two directories that differ only in hidden
// entries, and must be answered alike.
var twinQuestions = map[string]func(dir string) (string, error){
	"readdir":         func(dir string) (string, error) { return entriesOf(dir, false) },
	"readdir-offsets": func(dir string) (string, error) { return entriesOf(dir, true) },
	"readdir-batches": batches,
	"links":           func(dir string) (string, error) { st, err := statOf(dir); return fmt.Sprint(st.Nlink), err },
	"size":            func(dir string) (string, error) { st, err := statOf(dir); return fmt.Sprint(st.Size, st.Blocks), err },
	"times":           times,
}

// compareTwins asks of a and b below dir; a has the hidden entries.
func compareTwins(dir string, ask func(dir string) (string, error)) answer {
	with, errA := ask(in(dir + "/a"))
	without, errB := ask(in(dir + "/b"))
	if !sameError(errA, errB) || with != without {
		return leak("with hidden entries %v %q, without %v %q", errA, with, errB, without)
	}
	if errA != nil {
		return blocked(errnoName(errA))
	}
	return blocked("same")
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return errnoName(a) == errnoName(b)
}

func statOf(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st, err
}

// entriesOf lists a directory as the kernel gives it, with record lengths and
// types, and with offsets if told to.
func entriesOf(dir string, offsets bool) (string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return b.String(), err
		}
		for rest := buf[:n]; len(rest) > 0; {
			length := binary.NativeEndian.Uint16(rest[16:])
			name, _, _ := strings.Cut(string(rest[19:length]), "\x00")
			fmt.Fprintf(&b, "%s %d %d ", name, length, rest[18])
			if offsets {
				fmt.Fprintf(&b, "%d ", binary.NativeEndian.Uint64(rest[8:]))
			}
			rest = rest[length:]
		}
	}
}

// batches counts the calls that a listing takes with little room for each.
func batches(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	for calls := 0; ; calls++ {
		n, err := unix.Getdents(fd, make([]byte, 40))
		if err != nil || n == 0 {
			return fmt.Sprint(calls), err
		}
	}
}

// times looks at what a hidden entry does to its directory when it comes later
// than the others; one of a snapshot has done so already.
func times(dir string) (string, error) {
	if os.Getuid() == 0 && dir == in("twins/a") {
		time.Sleep(50 * time.Millisecond)
		if err := os.Remove(dir + "/veil.txt"); err != nil {
			return "", err
		}
	}
	st, err := statOf(dir)
	return fmt.Sprint(st.Mtim, st.Ctim), err
}

// removeEmptied removes all that can be seen in a directory and then the
// directory itself, which works only if it is empty.
func removeEmptied(dir string) (string, error) {
	own := dir + "-emptied"
	if err := os.Mkdir(own, 0o700); err == nil {
		defer os.Remove(own)
	}
	for _, name := range []string{"one", "two"} {
		if err := os.Rename(dir+"/"+name, own+"/"+name); err != nil {
			return "", err
		}
	}
	err := unix.Rmdir(dir)
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	for _, name := range []string{"one", "two"} {
		_ = os.Rename(own+"/"+name, dir+"/"+name)
	}
	return "", err
}
