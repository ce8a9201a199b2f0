package worker

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetupEnv is the environment of stage one, which ends before it would collect
// garbage.
var SetupEnv = []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"}

// serverEnv keeps a server small for as long as its sandbox lives.
var serverEnv = []string{"GOMAXPROCS=1", "GOGC=20", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"}

// execSelf replaces the process by its own program under another name. The
// program keeps the descriptor of itself, from which runners start.
func execSelf(name string) error {
	empty := []byte{0}
	argv, err := syscall.SlicePtrFromStrings([]string{name})
	if err != nil {
		return err
	}
	envv, err := syscall.SlicePtrFromStrings(serverEnv)
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(BinaryFD, unix.F_SETFD, 0); err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, BinaryFD, uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}

// spawn starts a command as leader of a session of its own.
func spawn(m *Exec, files []int) (pid int, started *Started) {
	started = &Started{ID: m.ID}
	fail := func(op, path string, err error) (int, *Started) {
		started.Op, started.Path, started.Errno = op, path, errnoOf(err)
		return 0, started
	}
	if len(m.Argv) == 0 {
		return fail("exec", "", unix.EINVAL)
	}
	dir := m.Dir
	if dir == "" {
		dir = "/workspace"
	}
	if err := enterable(dir); err != nil {
		return fail("chdir", dir, err)
	}
	path, err := lookPath(m.Argv[0], dir, m.Env)
	if err != nil {
		return fail("exec", m.Argv[0], err)
	}
	if m.Terminal && len(files) > 0 {
		files = []int{files[0], files[0], files[0]}
	}
	std, done, err := standardFiles(m.Files, files)
	if err != nil {
		return fail("exec", "/dev/null", err)
	}
	defer done()
	pid, err = syscall.ForkExec(path, m.Argv, &syscall.ProcAttr{
		Dir: dir, Env: m.Env, Files: std, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: m.Terminal},
	})
	if err != nil {
		return fail("exec", m.Argv[0], err)
	}
	started.PID = uint32(pid)
	goFirst(pid)
	return pid, started
}

// goFirst makes a command, and what it starts, die before the worker where the
// sandbox's memory is used up: else a command that fills /tmp could take the
// whole sandbox with it. One that nobody may read keeps the worker's score.
func goFirst(pid int) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it has ended, or cannot be read
	}
	defer unix.Close(fd)
	_, _ = unix.Write(fd, strconv.AppendInt(nil, oomMax, 10))
}

// standardFiles returns stdin, stdout and stderr: those that came with the
// command, in order, and /dev/null for the others.
func standardFiles(present uint32, files []int) ([]uintptr, func(), error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	std := make([]uintptr, 3)
	for i := range std {
		std[i] = uintptr(null)
		if present&(1<<i) != 0 && len(files) > 0 {
			std[i], files = uintptr(files[0]), files[1:]
		}
	}
	return std, func() { unix.Close(null) }, nil
}

func enterable(dir string) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Faccessat(fd, ".", unix.X_OK, 0)
}

// lookPath finds the program as execvp(3) does, with the PATH of the command.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	if name == "" {
		return "", unix.ENOENT
	}
	var search string
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	var denied error = unix.ENOENT
	for d := range strings.SplitSeq(search, ":") {
		if d == "" {
			d = "."
		}
		if d[0] != '/' {
			d = dir + "/" + d
		}
		path := d + "/" + name
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		if unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, 0) == nil {
			return path, nil
		}
		denied = unix.EACCES
	}
	return "", denied
}

// errnoOf returns the errno in err, or EIO where there is none.
func errnoOf(err error) uint32 {
	var errno syscall.Errno
	var path *os.PathError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &path) && errors.As(path.Err, &errno), errors.As(err, &errno):
		return uint32(errno)
	}
	return uint32(unix.EIO)
}
