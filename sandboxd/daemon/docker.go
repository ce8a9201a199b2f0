package daemon

import (
	"os"
	"path/filepath"

	"github.com/agentfense/agentfense/sandboxd/runtime/docker"
)

// openDocker prepares the docker runtime, whether or not there is an engine.
func (d *daemon) openDocker(worker *os.File) (err error) {
	dir := filepath.Join(d.opt.StateDir, "containers")
	if err := d.freshDir(dir); err != nil {
		return err
	}
	d.docker, err = docker.New(docker.Config{
		Host: os.Getenv("DOCKER_HOST"), Worker: worker, Dir: dir, Owner: d.cgroupName(), Log: d.opt.Log,
	})
	if err == nil {
		d.onClose(d.docker.Close)
	}
	return err
}
