package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// openProgram finds one of our own programs beside the running one, or in the
// libexec directory beside it, and returns a sealed copy in memory: nothing can
// change what runs later.
func openProgram(name string) (*os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find %s: %w", name, err)
	}
	dir := filepath.Dir(self)
	var tried []error
	for _, path := range []string{
		filepath.Join(dir, name),
		filepath.Join(dir, "..", "libexec", name),
		filepath.Join(dir, "..", "libexec", "agentfense", name),
	} {
		f, err := sealed(path, name)
		if !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
		tried = append(tried, err)
	}
	return nil, fmt.Errorf("cannot find %s: %w", name, errors.Join(tried...))
}

// sealed copies a program to memory that cannot be written any more.
func sealed(path, name string) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot copy %s: %w", name, err)
	}
	if !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("cannot copy %s: %s is no program", name, path)
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot copy %s: %w", name, err)
	}
	to := os.NewFile(uintptr(fd), name)
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return nil, fmt.Errorf("cannot copy %s: %w", name, err)
	}
	if err := seal(to); err != nil {
		return nil, fmt.Errorf("cannot seal %s: %w", name, err)
	}
	// A file that somebody has open for writing may refuse to be executed.
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, fmt.Errorf("cannot open the copy of %s: %w", name, err)
	}
	return f, nil
}

// seal tries again while the kernel still holds pages of the copy for itself,
// as it may on a busy host.
func seal(f *os.File) error {
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	for attempt := 0; ; attempt++ {
		_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
		if !errors.Is(err, unix.EBUSY) || attempt == 20 {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
