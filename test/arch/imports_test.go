package arch

import (
	"slices"
	"strings"
	"testing"
)

// rooms says which of our packages each room may import. A room is a directory
// and all below it that is not a room itself; "x/..." stands for x and all
// below it. What a room's tests import is not looked at.
var rooms = map[string][]string{
	"policy":                  {},
	"proto":                   {},
	"ebpf":                    {},
	"sandboxd/store/tree":     {},
	"fuse":                    {"policy", "sandboxd/store/tree"},
	"delta":                   {"policy", "sandboxd/store/tree"},
	"landlock":                {"policy"},
	"landlock/seccomp":        {"landlock", "policy"},
	"sandboxd/store":          {"sandboxd/store/tree"},
	"sandboxd/ingest":         {"policy", "sandboxd/store/..."},
	"sandboxd/worker":         {"landlock/..."},
	"sandboxd/view":           {"policy", "sandboxd/store/...", "sandboxd/view/handover"},
	"sandboxd/view/handover":  {"policy", "sandboxd/store/tree"},
	"sandboxd/view/process":   {"policy", "fuse", "landlock/...", "sandboxd/store/tree", "sandboxd/view/handover"},
	"sandboxd/runtime":        {"policy"},
	"sandboxd/host":           {"landlock/..."},
	"sandboxd/disk":           {"sandboxd/host"},
	"sandboxd/cgroup":         {"sandboxd/host", "sandboxd/runtime"},
	"sandboxd/runtime/native": {"policy", "delta", "landlock/...", "sandboxd/host", "sandboxd/runtime", "sandboxd/cgroup", "sandboxd/worker"},
	"sandboxd/runtime/docker": {"sandboxd/runtime", "sandboxd/runtime/native", "sandboxd/cgroup", "sandboxd/worker"},
	"sandboxd/pipe":           {},
	"sandboxd/session":        {"sandboxd/pipe", "sandboxd/runtime", "sandboxd/sandbox"},
	"sandboxd/sandbox":        {"policy", "delta", "landlock", "sandboxd/disk", "sandboxd/host", "sandboxd/runtime", "sandboxd/store/...", "sandboxd/view"},
	"sandboxd/process":        {"sandboxd/runtime"},
	"sandboxd/audit":          {"ebpf", "policy"},
	"sandboxd/api":            {"sandboxd/...", "policy", "proto/..."},
	"sandboxd/daemon":         {"sandboxd/...", "policy", "landlock/...", "ebpf/..."},

	"cmd/sandboxd":          {"sandboxd/daemon", "sandboxd/host"},
	"cmd/agentfense":        {"policy", "proto/...", "sandboxd/host"},
	"cmd/agentfense-view":   {"sandboxd/view/process"},
	"cmd/agentfense-worker": {"landlock/...", "sandboxd/worker"},

	"bench":    {"proto/..."},
	"test":     {"..."},
	"examples": {"proto/..."},
	"docs":     {"..."},
}

// owners says which rooms may import a library; tests elsewhere may not either.
var owners = map[string][]string{
	"github.com/hanwen/go-fuse/v2":           {"fuse", "sandboxd/view/process"},
	"github.com/landlock-lsm/go-landlock":    {"landlock", "sandboxd/view/process"},
	"github.com/seccomp/libseccomp-golang":   {"landlock/seccomp"},
	"github.com/cilium/ebpf":                 {"ebpf", "test"},
	"github.com/containerd/cgroups/v3":       {"sandboxd/cgroup", "sandboxd/runtime/native"},
	"github.com/opencontainers/runtime-spec": {"sandboxd/cgroup", "sandboxd/runtime/native"},
	"github.com/moby/moby":                   {"sandboxd/runtime/docker", "test"},
	"go.etcd.io/bbolt":                       {"sandboxd/store"},
	"github.com/spf13/cobra":                 {"cmd"},
	"google.golang.org/grpc":                 {"proto", "sandboxd/api", "sandboxd/daemon", "cmd", "bench", "test"},
}

func TestRoomsImportOnlyTheirNeighbours(t *testing.T) {
	for _, p := range packages(t, "./...") {
		dir := p.dir()
		room, ok := roomOf(dir)
		if !ok {
			t.Errorf("%s belongs to no room: add it to the table in this file and to ARCHITECTURE.md", dir)
			continue
		}
		for _, imported := range p.Imports {
			other, own := strings.CutPrefix(imported, module+"/")
			if !own {
				continue
			}
			if otherRoom, _ := roomOf(other); otherRoom != room && !matchesAny(rooms[room], other) {
				t.Errorf("%s imports %s; room %s may know %q", dir, other, room, rooms[room])
			}
		}
	}
}

func TestRoomsFormADAG(t *testing.T) {
	edges := map[string][]string{}
	for _, p := range packages(t, "./...") {
		room, _ := roomOf(p.dir())
		for _, imported := range p.Imports {
			if other, own := strings.CutPrefix(imported, module+"/"); own {
				if r, _ := roomOf(other); r != room {
					edges[room] = append(edges[room], r)
				}
			}
		}
	}
	var visit func(room string, above []string)
	visit = func(room string, above []string) {
		if slices.Contains(above, room) {
			t.Fatalf("rooms import each other in a circle: %s", strings.Join(append(above, room), " -> "))
		}
		for _, next := range edges[room] {
			visit(next, append(above, room))
		}
	}
	for room := range edges {
		visit(room, nil)
	}
}

func TestLibrariesStayWithTheirOwners(t *testing.T) {
	for _, p := range packages(t, "./...") {
		room, _ := roomOf(p.dir())
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for library, allowed := range owners {
				if within(imported, library) && !slices.ContainsFunc(allowed, func(a string) bool { return within(room, a) }) {
					t.Errorf("%s imports %s, which only %q may", p.dir(), imported, allowed)
				}
			}
		}
	}
}

// What a sandbox or a view executes starts fast, stays small, and has no parser
// for the network in it.
func TestSmallBinariesLinkNoGRPCAndNoCgo(t *testing.T) {
	for _, cmd := range []string{"agentfense-worker", "agentfense-view"} {
		for _, p := range packages(t, "-deps", "./cmd/"+cmd) {
			for _, banned := range []string{
				"google.golang.org", "net/http", "C", "runtime/cgo",
				"github.com/seccomp/libseccomp-golang", "go.etcd.io/bbolt", "github.com/cilium/ebpf", "github.com/moby/moby",
			} {
				if within(p.ImportPath, banned) {
					t.Errorf("%s links %s", cmd, p.ImportPath)
				}
			}
			if !p.Standard && len(p.CgoFiles) > 0 {
				t.Errorf("%s links cgo through %s", cmd, p.ImportPath)
			}
		}
	}
}

// roomOf finds the room that a directory lies in.
func roomOf(dir string) (string, bool) {
	for at := dir; ; {
		if _, ok := rooms[at]; ok {
			return at, true
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return dir, false
		}
		at = at[:i]
	}
}

func matchesAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		base, all := strings.CutSuffix(pattern, "...")
		if !all {
			return dir == pattern
		}
		return base == "" || within(dir, strings.TrimSuffix(base, "/"))
	})
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}
