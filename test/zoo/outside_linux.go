package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// outside is what lies outside a sandbox and is left open to everybody there,
// so that nothing but the sandbox keeps a probe from it.
type outside struct {
	dir, tools string
	abstract   string
	key        int
	hostName   string
	tcp        string
	victim     *exec.Cmd
	open       []io.Closer
	remove     []func() error
}

// farPID is a process id that no process of a sandbox gets: each counts from 1.
const farPID = 20000

// newOutside makes it in dir, in tools, and wherever the kernel keeps such
// things. The victim runs as uid.
func newOutside(dir, tools, program string, uid uint32) (*outside, error) {
	o := &outside{dir: dir, tools: tools, abstract: "zoo-" + strconv.Itoa(os.Getpid()), key: 0x5a000000 | os.Getpid()}
	for _, step := range []func() error{o.files, func() error { return o.programs(program) }, o.sockets, o.memory, o.queue, func() error { return o.startVictim(uid) }} {
		if err := step(); err != nil {
			return nil, errors.Join(err, o.close())
		}
	}
	return o, nil
}

func (o *outside) args() []string {
	victim := 0
	if o.victim != nil {
		victim = o.victim.Process.Pid
	}
	return []string{
		"-host-file", o.dir + "/file", "-host-name", o.hostName, "-victim", strconv.Itoa(victim), "-abstract", o.abstract,
		"-socket", o.dir + "/zoo.sock", "-tcp", o.tcp, "-shm", strconv.Itoa(o.key), "-tools", o.tools,
	}
}

func (o *outside) close() error {
	var errs []error
	if o.victim != nil && o.victim.Process != nil {
		_ = o.victim.Process.Kill()
		_ = o.victim.Wait()
	}
	for _, c := range o.open {
		errs = append(errs, c.Close())
	}
	for _, remove := range o.remove {
		errs = append(errs, remove())
	}
	return errors.Join(errs...)
}

func (o *outside) files() (err error) {
	if o.hostName, err = os.Hostname(); err != nil {
		return err
	}
	for _, path := range []string{o.dir + "/file", "/dev/shm/zoo" + o.abstract, "/tmp/zoo" + o.abstract} {
		if err := os.WriteFile(path, []byte(hostMark), 0o666); err != nil {
			return err
		}
		o.remove = append(o.remove, func() error { return os.Remove(path) })
	}
	return nil
}

// programs puts copies of zoo into tools that would gain rights.
func (o *outside) programs(program string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	for name, give := range map[string]func(path string) error{
		"zoo":        func(path string) error { return os.Chmod(path, 0o755) },
		"zoo-setuid": func(path string) error { return os.Chmod(path, 0o755|os.ModeSetuid) },
		"zoo-setgid": func(path string) error { return os.Chmod(path, 0o755|os.ModeSetgid) },
		"zoo-capable": func(path string) error {
			return errors.Join(os.Chmod(path, 0o755), unix.Setxattr(path, "security.capability", allCapabilities(), 0))
		},
	} {
		path := filepath.Join(o.tools, name)
		if err := os.WriteFile(path, binary, 0o755); err != nil {
			return err
		}
		if err := give(path); err != nil {
			return fmt.Errorf("cannot make %s: %w", path, err)
		}
	}
	return nil
}

// allCapabilities is a security.capability attribute, of version 2, that gives
// CAP_SYS_ADMIN at once.
func allCapabilities() []byte {
	b := make([]byte, 20)
	b[0], b[3], b[6] = 1, 2, 0x20
	return b
}

func (o *outside) sockets() error {
	for _, path := range []string{o.dir + "/zoo.sock", filepath.Join(o.tools, "zoo.sock"), "@" + o.abstract} {
		l, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		o.open = append(o.open, l)
		if path[0] == '/' {
			if err := os.Chmod(path, 0o777); err != nil {
				return err
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o.open, o.tcp = append(o.open, l), l.Addr().String()
	u, err := net.ListenPacket("udp", o.tcp)
	if err != nil {
		return err
	}
	o.open = append(o.open, u)
	go func() {
		for b := make([]byte, 16); ; {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(b[:n], from)
		}
	}()
	return nil
}

func (o *outside) memory() error {
	id, err := call(unix.SYS_SHMGET, uintptr(o.key), 4096, unix.IPC_CREAT|0o666)
	if err != nil {
		return err
	}
	o.remove = append(o.remove, func() error { return rawCall(unix.SYS_SHMCTL, id, unix.IPC_RMID, 0) })
	return nil
}

func (o *outside) queue() error {
	name := "zoo-" + o.abstract
	if err := rawCall(unix.SYS_MQ_OPEN, newArena().text(name), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o666, 0); err != nil {
		return err
	}
	o.remove = append(o.remove, func() error { return rawCall(unix.SYS_MQ_UNLINK, newArena().text(name)) })
	return nil
}

func (o *outside) startVictim(uid uint32) error {
	if b, err := os.ReadFile("/proc/sys/kernel/ns_last_pid"); err == nil {
		if last, err := strconv.Atoi(string(b[:len(b)-1])); err == nil && last < farPID {
			if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(farPID)), 0); err != nil {
				return err
			}
		}
	}
	o.victim = exec.Command(filepath.Join(o.tools, "zoo"), "-helper", "wait")
	stdin, err := o.victim.StdinPipe() // it ends with this process
	if err != nil {
		return err
	}
	_ = stdin
	o.victim.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := o.victim.Start(); err != nil {
		return err
	}
	if o.victim.Process.Pid < farPID {
		return fmt.Errorf("process %d could be one of a sandbox as well", o.victim.Process.Pid)
	}
	return nil
}

// machineOutside is what a machine has of its own outside of no sandbox.
func machineOutside() (*outside, error) {
	const dir, tools = "/srv/zoo", "/opt/zoo"
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(tools, 0o755), os.MkdirAll(workspace, 0o755)); err != nil {
		return nil, err
	}
	if err := unix.Sethostname([]byte("zoo-machine")); err != nil {
		return nil, err
	}
	for _, path := range []string{"/etc/shadow", "/etc/machine-id"} {
		if err := os.WriteFile(path, []byte(hostMark), 0o600); err != nil {
			return nil, err
		}
	}
	// A mount whose source shows.
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return nil, err
	}
	return newOutside(dir, tools, "/proc/self/exe", 4000)
}

// neighbour makes, inside a sandbox, what another one is to reach, says with
// which arguments zoo would find it, and waits for the end of its input.
// It has no message queue: no sandbox can make one.
func neighbour() error {
	dir := "/tmp/neighbour"
	if err := os.MkdirAll(dir+"/tools", 0o777); err != nil {
		return err
	}
	o := &outside{dir: dir, tools: dir + "/tools", abstract: "zoo-neighbour", key: 0x5a000001}
	for _, step := range []func() error{o.files, o.sockets, o.memory} {
		if err := step(); err != nil {
			return errors.Join(err, o.close())
		}
	}
	if err := o.queue(); !errors.Is(err, unix.EACCES) {
		return errors.Join(fmt.Errorf("a message queue could be made: %w", err), o.close())
	}
	fmt.Println(strings.Join(o.args(), " "))
	_, err := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, o.close())
}
