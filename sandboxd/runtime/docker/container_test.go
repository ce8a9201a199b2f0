package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

func TestCheckImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for name, ok := range map[string]bool{
		"python:3.11-slim": true, "ghcr.io/a/b:c": true, "localhost:5000/x": true, "x@" + digest: true, digest: true,
		strings.Repeat("0a", 32): true,
		"":                       false, " ": false, "a b": false, "--privileged": false, "/etc": false, "../x": false, "a/../b": false, "x?y=z": false, "x#y": false,
		"X": false, "x:": false, "x@sha256:0": false, "x\x00": false, "x\n": false, "x/%2e%2e": false, "sha256:0": true, // a name and a tag
	} {
		if err := CheckImage(name); (err == nil) != ok {
			t.Errorf("CheckImage(%q) = %v", name, err)
		}
	}
}

func TestNothingOfAnImagesConfigurationIsUsed(t *testing.T) {
	r := &Runtime{cfg: Config{Owner: "d1"}}
	img := &image{id: "sha256:1", env: []string{"PATH=/evil", "GOGC=1", "LD_PRELOAD=/x", "odd"}, volumes: []string{"/data", "/data/", "/b/../c"}}
	got, err := r.describe(runtime.Spec{ID: "sb_1", Image: "x", Limits: runtime.Limits{Memory: 1 << 30}}, img, "/place")
	if err != nil {
		t.Fatal(err)
	}
	c, h := got.Config, got.HostConfig
	if c.Image != img.id || c.User != "0:0" || c.WorkingDir != "/" || len(c.Entrypoint) != 1 || c.Cmd == nil || c.Healthcheck.Test[0] != "NONE" {
		t.Errorf("the container is %+v", c)
	}
	if want := append(slices.Clone(worker.SetupEnv), "LD_PRELOAD", "PATH", "odd"); !slices.Equal(c.Env, want) {
		t.Errorf("the environment is %q, want %q", c.Env, want)
	}
	if h.Privileged || h.NetworkMode != "none" || h.Memory != 1<<30 || h.MemorySwap != h.Memory || !h.ReadonlyRootfs || !slices.Equal(h.CapDrop, []string{"ALL"}) {
		t.Errorf("the host's part is %+v", h)
	}
	var targets []string
	for _, m := range h.Mounts {
		targets = append(targets, string(m.Type)+" "+m.Target)
	}
	place := strings.TrimSuffix(c.Entrypoint[0], "/"+worker.NameContainer)
	if want := []string{"tmpfs /c", "tmpfs /data", "bind " + place}; !slices.Equal(targets, want) {
		t.Errorf("mounts are %q, want %q", targets, want)
	}
	again, err := r.describe(runtime.Spec{ID: "sb_1", Image: "x"}, img, "/place")
	if err != nil || again.Config.Entrypoint[0] == c.Entrypoint[0] {
		t.Errorf("the worker is at %q again, %v", c.Entrypoint[0], err)
	}
}

func TestVolumesThatCannotBeCovered(t *testing.T) {
	for _, volumes := range [][]string{{"/"}, {"/x/.."}, {"relative"}, {""}, make([]string, maxVolumes+1)} {
		if got, err := coverVolumes(volumes); err == nil {
			t.Errorf("coverVolumes(%q) = %v", volumes, got)
		}
	}
}

func TestALimitThatTheEngineDropsIsAnError(t *testing.T) {
	pids := int64(20)
	want := resourcesOf(runtime.Limits{Memory: 1 << 30, CPUQuota: 5000, CPUShares: 10, Pids: pids})
	if err := checkResources(want, want); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*container.Resources){
		"memory": func(r *container.Resources) { r.Memory = 0 },
		"pids":   func(r *container.Resources) { r.PidsLimit = nil },
		"quota":  func(r *container.Resources) { r.CPUQuota = 0 },
		"shares": func(r *container.Resources) { r.CPUShares = 0 },
	} {
		have := want
		change(&have)
		if checkResources(want, have) == nil {
			t.Errorf("a dropped limit on %s is no error", name)
		}
	}
}

func TestOnlyAnEngineOfThisHost(t *testing.T) {
	for _, host := range []string{"tcp://127.0.0.1:2375", "ssh://x", "unix://relative", "/var/run/docker.sock", "npipe:////./pipe/x"} {
		if _, err := newEngine(host); err == nil {
			t.Errorf("newEngine(%q) is no error", host)
		}
	}
}
