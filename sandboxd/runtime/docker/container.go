package docker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/runtime/native"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// The labels of a container: the daemon and the sandbox that it is of.
const (
	labelOwner   = "agentfense.daemon"
	labelSandbox = "agentfense.sandbox"
)

// maxVolumes is how many volumes an image may declare.
const maxVolumes = 64

// capabilities are what stage one of the worker needs for its mounts, its
// devices and the change of its user. Stage two has none.
var capabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "MKNOD", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN"}

// containerName is a name that only this daemon gives. Labels alone would not
// do: an image can bring labels of its own.
func (r *Runtime) containerName(id string) string { return r.namePrefix() + id }

func (r *Runtime) namePrefix() string { return "agentfense-" + r.cfg.Owner + "-" }

// describe says what container the engine is to make. Place is the directory of
// the worker's program and socket. Whatever the image's configuration can say is
// said here, so that nothing of it is used.
func (r *Runtime) describe(spec runtime.Spec, img *image, place string) (client.ContainerCreateOptions, error) {
	covers, err := coverVolumes(img.volumes)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	// What an image brings to this place it would have to know before.
	inside := "/." + strings.ToLower(rand.Text())
	no := false
	config := &container.Config{
		Image: img.id, Hostname: "sandbox", User: "0:0", WorkingDir: "/",
		Entrypoint:  []string{inside + "/" + worker.NameContainer},
		Cmd:         []string{},
		Env:         environ(img.env),
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		StopSignal:  "SIGKILL",
		Labels:      map[string]string{labelOwner: r.cfg.Owner, labelSandbox: spec.ID},
	}
	host := &container.HostConfig{
		AutoRemove:     true,
		NetworkMode:    "none",
		IpcMode:        "none",
		UsernsMode:     "host", // mounts come from outside
		Runtime:        "runc",
		Init:           &no,
		ReadonlyRootfs: true,
		CapDrop:        []string{"ALL"},
		CapAdd:         capabilities,
		// The worker mounts, and then applies stricter rules of its own.
		SecurityOpt: []string{"no-new-privileges", "seccomp=unconfined", "apparmor=unconfined", "label=disable"},
		LogConfig:   container.LogConfig{Type: "none"},
		Resources:   resourcesOf(native.LimitsOf(spec)),
		Mounts: append(covers, mount.Mount{
			Type: mount.TypeBind, Source: place, Target: inside, ReadOnly: true,
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
		}),
	}
	return client.ContainerCreateOptions{Name: r.containerName(spec.ID), Config: config, HostConfig: host}, nil
}

// environ is the worker's environment: of the image's nothing is left, since the
// worker's own runtime reads some variables.
func environ(image []string) []string {
	env := slices.Clone(worker.SetupEnv)
	own := map[string]bool{}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		own[name] = true
	}
	unset := map[string]bool{}
	for _, kv := range image {
		if name, _, _ := strings.Cut(kv, "="); !own[name] {
			unset[name] = true
		}
	}
	return append(env, slices.Sorted(maps.Keys(unset))...) // a name alone unsets
}

// coverVolumes puts something small where an image declares a volume: else the
// engine would copy what the image has there to the host, without a limit. The
// worker sees the image's own directory in any case.
func coverVolumes(volumes []string) ([]mount.Mount, error) {
	if len(volumes) > maxVolumes {
		return nil, fmt.Errorf("the image declares %d volumes, more than %d", len(volumes), maxVolumes)
	}
	targets := map[string]bool{}
	for _, v := range volumes {
		target := path.Clean(v)
		if target == "/" || !path.IsAbs(target) {
			return nil, fmt.Errorf("the image declares a volume at %q", v)
		}
		targets[target] = true
	}
	mounts := make([]mount.Mount, 0, len(targets)+1)
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		mounts = append(mounts, mount.Mount{
			Type: mount.TypeTmpfs, Target: target, TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 4096},
		})
	}
	return mounts, nil
}

// cpuPeriod is what a quota of CPU time refers to, in microseconds.
const cpuPeriod = 100_000

func resourcesOf(l runtime.Limits) container.Resources {
	res := container.Resources{CPUShares: l.CPUShares, Memory: l.Memory, MemorySwap: l.Memory}
	if l.CPUQuota > 0 {
		res.CPUPeriod, res.CPUQuota = cpuPeriod, l.CPUQuota
	}
	if l.Pids > 0 {
		res.PidsLimit = &l.Pids
	}
	return res
}

// checkResources returns an error if the engine dropped a limit, as it does with
// a warning only where its kernel lacks a controller.
func checkResources(want, have container.Resources) error {
	var missing []string
	if want.Memory != have.Memory {
		missing = append(missing, "memory")
	}
	if want.PidsLimit != nil && (have.PidsLimit == nil || *have.PidsLimit != *want.PidsLimit) {
		missing = append(missing, "pids")
	}
	if want.CPUQuota != have.CPUQuota || want.CPUShares != have.CPUShares {
		missing = append(missing, "cpu")
	}
	if len(missing) > 0 {
		return errors.New("the engine does not enforce the limit on " + strings.Join(missing, ", "))
	}
	return nil
}
