package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	daemonName = "sandboxd"
	// daemonStart and daemonStop bound the life of a private daemon.
	daemonStart = 30 * time.Second
	daemonStop  = 20 * time.Second
	// socketPathMax is what fits into a unix address.
	socketPathMax = 107
	// logTail is how much of a failed daemon's log is shown.
	logTail = 4 << 10
)

// findDaemon looks for sandboxd beside our own executable, then in PATH.
func findDaemon() (string, error) {
	if self, err := os.Executable(); err == nil {
		if target, err := filepath.EvalSymlinks(self); err == nil { //nolint:forbidigo // our own program
			self = target
		}
		beside := filepath.Join(filepath.Dir(self), daemonName)
		if st, err := os.Stat(beside); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	path, err := exec.LookPath(daemonName)
	if err != nil {
		return "", fmt.Errorf("cannot find %s beside this program or in PATH: build it with make build", daemonName)
	}
	return path, nil
}

// privateDaemon is a daemon of our own, with its state and its socket in a
// temporary directory. It ends with us: stop removes all of it, and if we are
// killed the kernel sends it SIGTERM.
type privateDaemon struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process has ended
	err    error         // how; valid after exited
}

// startPrivate starts a daemon and waits until it serves.
func startPrivate(ctx context.Context) (d *privateDaemon, c *client, err error) {
	path, err := findDaemon()
	if err != nil {
		return nil, nil, err
	}
	dir, err := privateDir()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a directory for a private daemon: %w", err)
	}
	d = &privateDaemon{dir: dir, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	if err := d.start(path); err != nil {
		close(d.exited)
		return nil, nil, fmt.Errorf("cannot start %s: %w", path, err)
	}
	c, err = d.await(ctx)
	return d, c, err
}

// privateDir is a new directory, below TMPDIR unless the socket's path would
// get too long there.
func privateDir() (string, error) {
	parent := os.TempDir()
	if len(filepath.Join(parent, "agentfense-0123456789", "run", "api.sock")) > socketPathMax {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "agentfense-")
	if err != nil {
		return "", err
	}
	for _, sub := range []string{"state", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			_ = os.RemoveAll(dir)
			return "", err
		}
	}
	return dir, nil
}

func (d *privateDaemon) endpoint() string {
	return "unix://" + filepath.Join(d.dir, "run", "api.sock")
}

func (d *privateDaemon) start(path string) error {
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(path, //nolint:forbidigo,noctx // it outlives the context; stop ends it
		"--state-dir", filepath.Join(d.dir, "state"),
		"--run-dir", filepath.Join(d.dir, "run"))
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// Own session: a terminal's Ctrl-C is for the command, not for the daemon.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go func() {
		// The parent-death signal comes when this thread ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	return <-started
}

// await connects once the daemon says that it serves.
func (d *privateDaemon) await(ctx context.Context) (*client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, daemonStart, fmt.Errorf("no answer within %v", daemonStart))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := dial(ctx, d.endpoint()); err == nil {
			res, err := grpc_health_v1.NewHealthClient(c.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err == nil && res.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
				return c, nil
			}
			c.Close()
		}
		select {
		case <-d.exited:
			return nil, d.failure("did not start")
		case <-ctx.Done():
			if sig, ok := errors.AsType[*signalError](context.Cause(ctx)); ok {
				return nil, sig
			}
			return nil, d.failure("did not start: " + context.Cause(ctx).Error())
		case <-tick.C:
		}
	}
}

// failure is an error that shows the end of the daemon's log.
func (d *privateDaemon) failure(what string) error {
	data, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	if len(data) > logTail {
		data = data[len(data)-logTail:]
	}
	log := strings.TrimSpace(string(data))
	if log == "" {
		log = "(it logged nothing)"
	}
	return fmt.Errorf("the private daemon %s; the end of its log:\n%s", what, log)
}

// gone says whether the daemon has ended.
func (d *privateDaemon) gone() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// stop ends the daemon and removes its directory.
func (d *privateDaemon) stop() error {
	var killed error
	if !d.gone() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.exited:
		case <-time.After(daemonStop):
			_ = d.cmd.Process.Kill()
			<-d.exited
			killed = fmt.Errorf("the private daemon did not stop within %v and was killed", daemonStop)
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return errors.Join(killed, fmt.Errorf("cannot remove the private daemon's files: %w", err))
	}
	return killed
}
