//go:build docker

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// engine is one dockerd, with all that it has below dir.
type engine struct {
	*client.Client
	dir     string
	parent  string // of its cgroups
	process *exec.Cmd
	log     *os.File
}

func (e *engine) host() string { return "unix://" + e.dir + "/sock" }

// startEngine starts a dockerd that listens, in a short directory: some of its
// sockets' paths are long.
func startEngine() (*engine, error) {
	dir, err := os.MkdirTemp("", "afdk")
	if err != nil {
		return nil, err
	}
	e := &engine{dir: dir, parent: "/agentfense-" + filepath.Base(dir)}
	if e.log, err = os.Create(dir + "/log"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/daemon.json", []byte("{}"), 0o600); err != nil {
		return nil, err
	}
	if e.Client, err = client.New(client.WithHost(e.host())); err != nil {
		return nil, err
	}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *engine) start() error {
	d := e.dir
	e.process = exec.Command("dockerd", "--config-file", d+"/daemon.json", "--data-root", d+"/data", "--exec-root", d+"/exec",
		"--pidfile", d+"/pid", "--host", e.host(), "--cgroup-parent", e.parent,
		"--iptables=false", "--ip6tables=false", "--bridge=none")
	e.process.Stdout, e.process.Stderr = e.log, e.log
	if err := e.process.Start(); err != nil {
		return fmt.Errorf("cannot start dockerd (scripts/setup docker installs it): %w", err)
	}
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err = e.Ping(context.Background(), client.PingOptions{}); err == nil {
			return nil
		}
	}
	return fmt.Errorf("dockerd does not answer: %w\n%s", err, e.said())
}

func (e *engine) said() string {
	b, _ := os.ReadFile(e.dir + "/log")
	return string(b[max(0, len(b)-4000):])
}

// kill ends dockerd as a crash would; what it started may live on.
func (e *engine) kill() {
	_ = e.process.Process.Kill()
	_ = e.process.Wait()
	// Its containerd died with it, and waits for whoever is to reap it here: by
	// this file the next dockerd would take it for alive.
	_ = os.Remove(e.dir + "/exec/containerd/containerd.pid")
}

// close ends dockerd and removes all that it had.
func (e *engine) close() error {
	var errs []error
	if e.process != nil && e.process.Process != nil && e.process.ProcessState == nil {
		_ = e.process.Process.Signal(unix.SIGTERM)
		if err := e.process.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("dockerd ended with %w\n%s", err, e.said()))
		}
	}
	_ = e.Client.Close()
	errs = append(errs, e.log.Close(), e.unmount())
	groups, _ := filepath.Glob("/sys/fs/cgroup/*" + e.parent)
	for _, g := range append(groups, "/sys/fs/cgroup"+e.parent) {
		if err := unix.Rmdir(g); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, &os.PathError{Op: "rmdir", Path: g, Err: err})
		}
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

// unmount detaches what dockerd leaves mounted below its directory.
func (e *engine) unmount() error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(string(data), "\n")) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], e.dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				return &os.PathError{Op: "unmount", Path: f[4], Err: err}
			}
		}
	}
	return nil
}

// load imports an image whose configuration is made by Dockerfile instructions.
func (e *engine) load(name string, tar io.Reader, instructions ...string) error {
	progress, err := e.ImageImport(context.Background(), client.ImageImportSource{Source: tar, SourceName: "-"}, name,
		client.ImageImportOptions{Changes: instructions})
	if err != nil {
		return fmt.Errorf("cannot import %s: %w", name, err)
	}
	defer progress.Close()
	said, err := io.ReadAll(progress)
	if err == nil && strings.Contains(string(said), "errorDetail") {
		err = errors.New(string(said))
	}
	return err
}

// containers returns the names of all that the engine has.
func (e *engine) containers(t testing.TB) []string {
	t.Helper()
	list, err := e.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list.Items {
		names = append(names, c.Names...)
	}
	return names
}
