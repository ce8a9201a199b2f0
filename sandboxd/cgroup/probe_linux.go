package cgroup

import (
	"errors"

	"github.com/containerd/cgroups/v3"

	"github.com/agentfense/agentfense/sandboxd/host"
)

func probe() (driver, error) {
	switch cgroups.Mode() {
	case cgroups.Unified:
		return newV2(), nil
	case cgroups.Legacy, cgroups.Hybrid:
		return newV1()
	default:
		return nil, errors.New("cannot bound sandboxes: no cgroup file system is mounted at " + host.CgroupRoot)
	}
}
