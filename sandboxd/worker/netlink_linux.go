package worker

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxNetlink is how many netlink sockets a sandbox has at once. The kernel counts
// their buffers in no memory limit, so their number is the only bound: programs
// need one for a moment, to list the network's interfaces.
const MaxNetlink = 32

// NotifyFD is where stage two finds the listener of the seccomp filter.
const NotifyFD = 5

// Requests of ioctl(2) on a listener.
const (
	notifyReceive = 0xc0502100
	notifySend    = 0xc0182101
	notifyAdd     = 0x40182103

	notifyContinue = 1 // let the kernel make the call
	addAndSend     = 2 // the descriptor is the call's answer
)

// notification is a call that waits for what the listener says.
type notification struct {
	id    uint64
	pid   uint32 // the thread that calls
	flags uint32
	call  int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type response struct {
	id     uint64
	value  int64
	errno  int32 // negative
	action uint32
}

type addition struct {
	id       uint64
	action   uint32
	from, to uint32
	flags    uint32
}

// netlinks makes the netlink sockets of a sandbox, the only ones that its filter
// asks about. One thread makes them, one after the other, so that they can be
// counted. Its own calls are asked about too, so another one listens.
type netlinks struct {
	listener int
	maker    uint32 // its thread

	mu    sync.Mutex
	queue []notification
	more  *sync.Cond
}

// serveNetlinks starts both threads, if there is a filter that has a listener. What
// cannot be asked is ENOSYS for the caller.
func serveNetlinks() {
	if name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(NotifyFD)); err != nil || name != "anon_inode:seccomp notify" {
		return
	}
	unix.CloseOnExec(NotifyFD)
	n := &netlinks{listener: NotifyFD}
	n.more = sync.NewCond(&n.mu)
	made := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		// A signal during addAndSend can leave the call answered with 0.
		blockSignals()
		n.maker = uint32(unix.Gettid())
		close(made)
		n.make()
	}()
	<-made
	listening := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(listening)
		n.listen()
	}()
	<-listening
}

// listen ends with the listener, and then nobody waits for an answer.
func (n *netlinks) listen() {
	defer unix.Close(n.listener)
	for {
		var c notification
		err := n.ask(notifyReceive, unsafe.Pointer(&c))
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) {
			continue // the caller is gone, or a signal came
		}
		if err != nil {
			return
		}
		if c.pid == n.maker {
			n.answer(&response{id: c.id, action: notifyContinue})
			continue
		}
		n.mu.Lock()
		n.queue = append(n.queue, c)
		n.mu.Unlock()
		n.more.Signal()
	}
}

// blockSignals keeps signals, such as those that the Go runtime preempts with, from
// this thread, to which the goroutine is locked.
func blockSignals() {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil) // cannot fail
}

func (n *netlinks) make() {
	for {
		n.mu.Lock()
		for len(n.queue) == 0 {
			n.more.Wait()
		}
		c := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		if err := n.give(&c); err != nil {
			n.answer(&response{id: c.id, errno: -int32(errnoOf(err))})
		}
	}
}

// give makes the socket that a call asks for its descriptor.
func (n *netlinks) give(c *notification) error {
	count, err := countNetlinks()
	if err != nil {
		return err
	}
	if count >= MaxNetlink {
		return unix.ENOBUFS
	}
	kind := int(uint32(c.args[1]))
	// Not the library's, during which nothing else of this process may run: what
	// listens must.
	fd, _, errno := unix.Syscall(unix.SYS_SOCKET, unix.AF_NETLINK, uintptr(kind|unix.SOCK_CLOEXEC), unix.NETLINK_ROUTE)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(fd))
	err = n.ask(notifyAdd, unsafe.Pointer(&addition{
		id: c.id, action: addAndSend, from: uint32(fd), flags: uint32(kind & unix.SOCK_CLOEXEC),
	}))
	if errors.Is(err, unix.ENOENT) {
		return nil // the caller is gone
	}
	return err
}

func (n *netlinks) answer(r *response) { _ = n.ask(notifySend, unsafe.Pointer(r)) } // the caller may be gone

func (n *netlinks) ask(request uintptr, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.listener), request, uintptr(argument))
	if errno != 0 {
		return errno
	}
	return nil
}

// countNetlinks returns how many netlink sockets there are in the sandbox's own
// network.
func countNetlinks() (int, error) {
	b, err := os.ReadFile("/proc/self/net/protocols")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 2 && string(f[0]) == "NETLINK" {
			return strconv.Atoi(string(f[2]))
		}
	}
	return 0, unix.ENOSYS
}
