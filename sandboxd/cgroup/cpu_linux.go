package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is what the kernel shows of one group's use of the CPUs, and takes.
type cpu struct {
	// usage is the file with the time used, after prefix, in units of unit.
	usage, prefix string
	unit          time.Duration
	// dir holds cpu.idle, and the file that weight is written to.
	dir, file string
	weight    int64
}

// used is how much of them the group has used since it was made.
func (c *cpu) used() (time.Duration, error) {
	b, err := os.ReadFile(c.usage)
	if err != nil {
		return 0, err
	}
	_, b, found := bytes.Cut(b, []byte(c.prefix))
	number, _, _ := bytes.Cut(b, []byte{'\n'})
	n, err := strconv.ParseInt(string(number), 10, 64)
	if !found || err != nil {
		return 0, fmt.Errorf("cannot read %s: %q", c.usage, b)
	}
	return time.Duration(n) * c.unit, nil
}

// setIdle lets the group run only where no other group beside it wants to, or
// as its weight says. That there is no such group is no error.
func (c *cpu) setIdle(on bool) error {
	if on {
		return c.write("cpu.idle", 1)
	}
	if err := c.write("cpu.idle", 0); err != nil {
		return err
	}
	return c.weigh()
}

// weigh gives the group its weight, which the kernel forgets when the group
// goes last, and does not take while it does.
func (c *cpu) weigh() (err error) {
	for range 3 { // another daemon may change that meanwhile
		if err = c.write(c.file, c.weight); !errors.Is(err, unix.EINVAL) {
			return err
		}
		if c.isIdle() { // whoever changes that, weighs it
			return nil
		}
	}
	return err
}

func (c *cpu) isIdle() bool {
	b, err := os.ReadFile(filepath.Join(c.dir, "cpu.idle"))
	return err == nil && bytes.Equal(b, []byte("1\n"))
}

// has reports whether the kernel has a setting of the group.
func (c *cpu) has(file string) bool { return unix.Access(filepath.Join(c.dir, file), unix.F_OK) == nil }

func (c *cpu) write(file string, n int64) error {
	f, err := os.OpenFile(filepath.Join(c.dir, file), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(strconv.AppendInt(nil, n, 10))
	if errors.Is(err, unix.ENODEV) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
