package worker

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// SocketName is the daemon's socket, beside the program that an engine executes.
const SocketName = "socket"

// setUpContainer is stage one in a container that an engine made: the namespaces
// and limits are there, and "/" is an image, which may be hostile. It connects to
// the daemon, as nothing else in the container can before it.
func setUpContainer(conn *Conn, place string) error {
	runtime.LockOSThread()
	if err := unix.CloseRange(ControlFD, ^uint(0)>>1, 0); err != nil {
		return failed(StageSetup, "close_range", err)
	}
	if err := connect(place + "/" + SocketName); err != nil {
		return failed(StageSetup, "connect", err)
	}
	s, files, err := receiveSetup(conn)
	if err != nil {
		return err
	}
	if files, err = keepProgram(files); err != nil {
		return failed(StageSetup, "program", err)
	}
	defer closeAll(files)
	if err := enterCgroups(nil); err != nil {
		return err
	}
	if err := makePrivate(); err != nil {
		return err
	}
	empty, err := mountImage(s, place, files)
	if err != nil {
		return err
	}
	if err := mountAll(s, -1, empty); err != nil {
		return err
	}
	if err := dropStreams(s.Root + "/dev/null"); err != nil {
		return failed(StageSystem, "standard streams", err)
	}
	return settle(s)
}

// connect makes ControlFD a socket to the daemon.
func connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	return passOn(fd, ControlFD)
}

// keepProgram puts the first file at BinaryFD and returns the others.
func keepProgram(files []int) ([]int, error) {
	if len(files) < 2 {
		closeAll(files)
		return nil, errors.New("files are missing")
	}
	rest := make([]int, len(files))
	for n, fd := range files {
		at, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, BinaryFD+1)
		if err != nil {
			return nil, err
		}
		rest[n] = at
	}
	closeAll(files)
	if err := unix.Dup3(rest[0], BinaryFD, unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	unix.Close(rest[0])
	return rest[1:], nil
}

// dropStreams lets go of what the engine made the standard streams.
func dropStreams(null string) error {
	fd, err := unix.Open(null, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for std := range 3 {
		if err := unix.Dup3(fd, std, 0); err != nil {
			return err
		}
	}
	return nil
}
