//go:build docker

package docker

import (
	"archive/tar"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// create makes a container that was never started, and returns its name.
func create(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	made, err := dock.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: name, Config: &container.Config{Image: image, Cmd: []string{"true"}, Labels: labels},
		HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = dock.ContainerRemove(bound(t), made.ID, client.ContainerRemoveOptions{Force: true})
	})
	return name
}

// hostile loads an image for one test.
func hostile(t *testing.T, name string, instructions []string, entries ...file) {
	t.Helper()
	r, err := withFiles(tiny, entries...)
	if err != nil {
		t.Fatal(err)
	}
	if err := dock.load(name, r, instructions...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := dock.ImageRemove(bound(t), name, client.ImageRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
}

// checkUsual fails unless a sandbox is as it is with a good image.
func (d *daemon) checkUsual(id string) {
	d.Helper()
	for command, want := range map[string]string{
		"cat main.py":                          "print('hi')",
		"ls -A":                                "main.py\noutput\nsrc\ntmp",
		"id -un":                               "agent",
		"pwd -P":                               "/workspace",
		"echo x > /tmp/x; cat /tmp/x":          "x",
		"cd; pwd -P":                           "/home/agent",
		"echo x > /dev/null; wc -c </dev/null": "0",
		"wc -l < /etc/passwd":                  "3",
		"stat -c %a / /etc /home /tmp":         "755\n755\n755\n1777",
		"grep -c ' / / ro,' /proc/self/mountinfo": "1",
	} {
		if got, _ := d.sh(id, command); got != want {
			d.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// Nothing of an image's configuration is used: neither its programs, nor its
// user, nor its environment, nor its volumes.
func TestImagesConfiguration(t *testing.T) {
	hostile(t, "hostile/configuration", []string{
		`ENTRYPOINT ["/bin/sh", "-c", "echo > /owned"]`, `CMD ["x"]`, `USER nobody`, `WORKDIR /secret/dir`,
		`HEALTHCHECK --interval=1s --timeout=1s CMD echo > /dev/shm/healthy; echo > /tmp/healthy`,
		`ENV GODEBUG=gctrace=1 GOTRACEBACK=crash LD_PRELOAD=/evil.so PATH=/evil GOMEMLIMIT=1 GOGC=1`,
		`VOLUME /data /usr/lib /workspace /tmp /home/agent`, `ONBUILD RUN reboot`, `EXPOSE 80`,
		`LABEL agentfense.daemon=other agentfense.sandbox=other`,
	}, file{path: "data/x", content: "in the image", mode: 0o644})
	d := start(t)
	id := d.open(d.request(d.ingest(), "hostile/configuration"))
	d.checkUsual(id)
	for command, want := range map[string]string{
		"cat /data/x":                            "in the image",
		"ls /tmp /dev/shm | grep health":         "",
		"env | grep -c -e GODEBUG -e LD_PRELOAD": "0",
		"tr '\\0' '\\n' < /proc/1/environ":       "/bin/bash: line 1: /proc/1/environ: Permission denied",
	} {
		if got, _ := d.sh(id, command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	list, err := dock.ContainerList(t.Context(), client.ContainerListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	found, err := dock.ContainerInspect(t.Context(), list.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := found.Container; c.State.Health != nil && c.State.Health.Status != "none" || c.Config.User != "0:0" || c.Config.Labels["agentfense.sandbox"] != id {
		t.Errorf("the container is %+v, %+v", c.State, c.Config)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", found.Container.State.Pid))
	if err != nil || strings.Contains(string(env), "evil") || strings.Contains(string(env), "gctrace") {
		t.Errorf("the worker's environment is %q, %v", env, err)
	}
	volumes, err := dock.VolumeList(t.Context(), client.VolumeListOptions{})
	if err != nil || len(volumes.Items) > 0 {
		t.Errorf("the engine has volumes %v, %v", volumes, err)
	}
	d.destroy(id)
	dock.gone(t)
}

// Links, devices, and files where directories belong, are replaced, not followed.
func TestImagesFiles(t *testing.T) {
	link := func(path, to string) file { return file{path: path, link: to, kind: tar.TypeSymlink, mode: 0o777} }
	for name, entries := range map[string][]file{
		"links to the host's": {
			link("workspace", "/proc/1/root"), link("home", "/etc"), link("tmp", "/usr"), link("var", "/proc/self/cwd"),
			link("output", "/etc"), link("run", "../../../run"), link("dev", "/proc/1/fd"), link("sys", "/"), link("proc", "/usr"),
		},
		"links in a circle": {link("workspace", "home"), link("home", "workspace"), link("tmp", "tmp")},
		"files":             {{path: "workspace"}, {path: "home"}, {path: "tmp"}, {path: "var"}, {path: "output"}, {path: "run"}},
		"an /etc of links": {
			link("etc/passwd", "/proc/self/environ"), link("etc/group", "../usr/bin/env"), link("etc/mtab", "/etc/passwd"),
			link("etc/hosts", "/dev/null"), link("etc/hostname", "resolv.conf"),
		},
		"an /etc elsewhere": {link("etc", "usr/lib")},
		"devices and setuid": {
			{path: "memory", kind: tar.TypeChar, mode: 0o666},
			{path: "disk", kind: tar.TypeBlock, mode: 0o666},
			{path: "root-sh", content: "#!/bin/sh\nid -u\n", mode: 0o4755},
		},
		"closed directories": {{path: "home/", kind: tar.TypeDir}, {path: "etc/", kind: tar.TypeDir}, {path: "tmp/", kind: tar.TypeDir}, {path: "workspace/", kind: tar.TypeDir}},
	} {
		t.Run(name, func(t *testing.T) {
			hostile(t, "hostile/files", nil, entries...)
			d := start(t)
			id := d.open(d.request(d.ingest(), "hostile/files"))
			d.checkUsual(id)
			for _, device := range []string{"memory", "disk"} {
				if got, r := d.sh(id, "! [ -e /"+device+" ] || head -c 1 /"+device); r.GetExitCode() == 0 && got != "" {
					t.Errorf("/%s says %q", device, got)
				}
			}
		})
	}
}

// What cannot be made usual is an error that says where, and leaves nothing.
func TestImagesThatCannotBeUsed(t *testing.T) {
	for name, tt := range map[string]struct {
		instructions []string
		entries      []file
		says         string
	}{
		"a directory for a file":    {nil, []file{{path: "etc/passwd/x", content: "x", mode: 0o644}}, "etc/passwd"},
		"a volume of everything":    {[]string{"VOLUME /"}, nil, "volume"},
		"a volume in place of proc": {[]string{"VOLUME /proc"}, nil, "cannot"},
	} {
		t.Run(name, func(t *testing.T) {
			hostile(t, "hostile/unusable", tt.instructions, tt.entries...)
			d := start(t)
			_, err := d.CreateSandbox(bound(t), d.request(d.ingest(), "hostile/unusable"))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			dock.gone(t)
		})
	}
}
