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
	path string // of the program
	dir  string
	*process
}

// process is one run of a daemon's program.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended
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
	d = &privateDaemon{path: path, dir: dir}
	if err := d.start(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("cannot start %s: %w", path, err), os.RemoveAll(dir))
	}
	if c, err = d.await(ctx); err != nil {
		return nil, nil, errors.Join(err, d.stop())
	}
	return d, c, nil
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

func (d *privateDaemon) start() error {
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p := &process{exited: make(chan struct{})}
	p.cmd = exec.Command(d.path, //nolint:forbidigo,noctx // it outlives the context; stop ends it
		"--state-dir", filepath.Join(d.dir, "state"),
		"--run-dir", filepath.Join(d.dir, "run"))
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Own session: a terminal's Ctrl-C is for the command, not for the daemon.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go func() {
		// The parent-death signal comes when this thread ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	d.process = p
	return nil
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

// gone says whether the process has ended, or does so shortly.
func (p *process) gone(patience time.Duration) bool {
	select {
	case <-p.exited:
		return true
	case <-time.After(patience):
		return false
	}
}

// end asks the process to end and waits for it.
func (p *process) end() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if p.gone(daemonStop) {
		return p.err
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	return fmt.Errorf("no end within %v", daemonStop)
}

// stop ends the daemon and removes its directory.
func (d *privateDaemon) stop() error {
	err := d.end()
	if err != nil {
		// Another one on the same directories ends what this one left running.
		err = fmt.Errorf("the private daemon did not end well: %w", errors.Join(err, d.sweep()))
	}
	if rerr := os.RemoveAll(d.dir); rerr != nil {
		err = errors.Join(err, fmt.Errorf("cannot remove the private daemon's files: %w", rerr))
	}
	return err
}

func (d *privateDaemon) sweep() error {
	if err := d.start(); err != nil {
		return err
	}
	c, err := d.await(context.Background())
	if err == nil {
		c.Close()
	}
	return errors.Join(err, d.end())
}
