package cgroup

import (
	"errors"

	"github.com/containerd/cgroups/v3"
)

// mountPoint is where every distribution mounts cgroups.
const mountPoint = "/sys/fs/cgroup"

func probe() (driver, error) {
	switch cgroups.Mode() {
	case cgroups.Unified:
		return newV2()
	case cgroups.Legacy, cgroups.Hybrid:
		return newV1()
	default:
		return nil, errors.New("cannot bound sandboxes: no cgroup file system is mounted at " + mountPoint)
	}
}
