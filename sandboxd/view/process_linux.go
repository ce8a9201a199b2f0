package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/view/handover"
)

// errAlive means that a process survived SIGKILL for now.
var errAlive = errors.New("view process does not end")

// process is a running agentfense-view.
type process struct {
	cmd     *exec.Cmd
	control *os.File
	ended   <-chan struct{}

	lastWords *tail // complete when ended is closed
	closeOnce sync.Once
}

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 4096
	t.data = append(t.data, p...)
	if excess := len(t.data) - keep; excess > 0 {
		t.data = t.data[excess:]
	}
	return len(p), nil
}

// spawn starts the process that serves device, and closes device.
func (i *instance) spawn(device, snapshot *os.File) (*process, error) {
	defer device.Close()
	files, control, err := i.handOver(device, snapshot)
	defer closeAll(files)
	if err != nil {
		return nil, err
	}
	lastWords := &tail{}
	p := &process{
		cmd: &exec.Cmd{
			Path:       "/proc/self/fd/" + strconv.Itoa(handover.BinaryFD),
			Args:       []string{"agentfense-view"},
			Env:        []string{},
			Dir:        "/",
			ExtraFiles: append(append([]*os.File{device, files[0], snapshot}, files[1:]...), i.m.cfg.Binary),
			// A copy of our mount namespace, which the process leaves at once:
			// in ours it would keep its own mount alive.
			SysProcAttr: &syscall.SysProcAttr{Setsid: true, Unshareflags: syscall.CLONE_NEWNS},
			Stderr:      lastWords,
			WaitDelay:   i.m.timing.grace,
		},
		lastWords: lastWords,
		control:   control,
		ended:     i.ended,
	}
	if err := startBounded(p.cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start view process: %w", err), control.Close())
	}
	go func() {
		defer close(i.ended)
		_ = p.cmd.Wait() // the status stays in cmd
	}()
	return p, nil
}

// startBounded starts a command whose bounding set holds only what it needs to
// confine itself. It drops these last ones as well, but each costs it a stop of
// all its threads.
func startBounded(cmd *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this goroutine
		err := dropBounding(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SYS_ADMIN)
		if err == nil {
			err = cmd.Start()
		}
		result <- err
	}()
	return <-result
}

// dropBounding removes all but a few capabilities from the bounding set of the
// calling thread.
func dropBounding(keep ...uintptr) error {
	for capability := uintptr(0); ; capability++ {
		if slices.Contains(keep, capability) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // the kernel knows no more
		}
		if err != nil {
			return fmt.Errorf("cannot drop capability %d: %w", capability, err)
		}
	}
}

// handOver makes what only the process will hold: the directory of objects,
// the config, and its end of the control socket.
func (i *instance) handOver(device, snapshot *os.File) (files []*os.File, control *os.File, err error) {
	objects, err := cloneReadOnly(i.m.cfg.Store.ObjectsDir())
	if err != nil {
		return nil, nil, fmt.Errorf("cannot clone the objects: %w", err)
	}
	files = append(files, objects)
	cfg := handover.NewConfig(i.key.Policy)
	cfg.Owner, cfg.UID, cfg.GID = i.key.UID, i.m.cfg.UID, i.m.cfg.GID
	config, err := memfd("config", cfg)
	if err != nil {
		return files, nil, err
	}
	files = append(files, config)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return files, nil, fmt.Errorf("cannot make control socket: %w", err)
	}
	files = append(files, os.NewFile(uintptr(pair[1]), "view end"))
	return files, os.NewFile(uintptr(pair[0]), "control"), nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// memfd returns a file in memory that holds v as JSON.
func memfd(name string, v any) (*os.File, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode %s: %w", name, err)
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(data); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write %s: %w", name, err), f.Close())
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot rewind %s: %w", name, err), f.Close())
	}
	return f, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// status says how the process ended.
func (p *process) status() string {
	return fmt.Sprintf("%v: %s", p.cmd.ProcessState, p.lastWords.data)
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }

// deadline bounds the next messages.
func (p *process) deadline(d time.Duration) { _ = p.control.SetDeadline(time.Now().Add(d)) }

func (p *process) send(m handover.Message) error { return handover.Send(p.control, m) }

func (p *process) receive() (handover.Message, error) { return handover.Receive(p.control) }

// finish waits for the process to end by itself, which it does when its view
// is mounted nowhere, then kills it.
func (p *process) finish(grace time.Duration) error {
	p.closeOnce.Do(func() { _ = p.control.Close() })
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
	}
	p.kill()
	timer.Reset(grace)
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
		return errAlive
	}
}
