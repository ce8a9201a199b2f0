package landlock

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func paths(set Ruleset, a Access) []string {
	var out []string
	for _, r := range set.Rules {
		if r.Access&a != 0 {
			out = append(out, r.Path)
		}
	}
	return out
}

var someRequest = Request{Writable: []string{"/", "/a/b"}, Files: []string{"/a/f"}}

func TestCompileGivesRights(t *testing.T) {
	set, _ := Compile(someRequest, 7)
	private := []string{"/tmp", "/dev/shm", "/home/agent"}
	planned := []string{"/workspace", "/workspace/a/b"}
	for name, tt := range map[string]struct {
		access Access
		want   []string
	}{
		"reading and executing everywhere":          {look, []string{"/"}},
		"creating in private and planned places":    {MakeReg | MakeDir | MakeSym, append(private, planned...)},
		"renaming between directories there":        {Refer, append(private, planned...)},
		"writing there, to devices, proc and files": {WriteFile, append(append(private, "/dev", "/proc"), append(planned, "/workspace/a/f")...)},
		"device ioctls on terminals only":           {IoctlDev, []string{"/dev/tty", "/dev/pts"}},
		"making devices nowhere":                    {MakeChar | MakeBlock, nil},
		"foreign sockets nowhere":                   {ResolveUnix, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := paths(set, tt.access)
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v is given on %q, want %q", tt.access, got, tt.want)
			}
		})
	}
}

func TestCompileReportsLosses(t *testing.T) {
	ports := &TCP{Bind: []uint16{80}, Connect: []uint16{443}}
	for name, tt := range map[string]struct {
		tcp  *TCP
		abi  int
		want string
	}{
		"no Landlock is one loss":            {nil, 0, LossLandlock},
		"no Landlock, and ports were asked":  {ports, 0, LossLandlock + " " + LossTCP},
		"a nonsensical ABI is no Landlock":   {nil, -3, LossLandlock},
		"ABI 1":                              {nil, 1, "landlock-refer landlock-truncate landlock-ioctl landlock-scope landlock-unix"},
		"ABI 2, Debian 12":                   {nil, 2, "landlock-truncate landlock-ioctl landlock-scope landlock-unix"},
		"ABI 3, and ports were asked":        {ports, 3, "landlock-tcp landlock-ioctl landlock-scope landlock-unix"},
		"ABI 4, and ports were asked":        {ports, 4, "landlock-ioctl landlock-scope landlock-unix"},
		"ABI 5":                              {nil, 5, "landlock-scope landlock-unix"},
		"ABI 6":                              {nil, 6, "landlock-unix"},
		"ABI 9 loses nothing":                {ports, 9, ""},
		"an ABI to come is used as the last": {nil, 99, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set, losses := Compile(Request{TCP: tt.tcp}, tt.abi)
			var names []string
			for _, l := range losses {
				names = append(names, l.Name)
				if l.Consequence == "" || l.Fix == "" {
					t.Errorf("loss %s says too little: %+v", l.Name, l)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("Compile(ABI %d) loses %q, want %q", tt.abi, got, tt.want)
			}
			if (set.FS == 0) != (tt.abi <= 0) || set.ABI > NewestABI {
				t.Errorf("Compile(ABI %d) = %+v", tt.abi, set)
			}
			if wantNet := tt.tcp != nil && tt.abi >= abiTCP; (set.Net != 0) != wantNet || (len(set.Ports) == 2) != wantNet {
				t.Errorf("Compile(ABI %d) restricts ports: %+v", tt.abi, set)
			}
		})
	}
}

func TestCompiledRulesetsAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := rapid.SliceOf(rapid.StringMatching(`(/[^/\x00]{1,5}){1,4}`))
		req := Request{Writable: places.Draw(t, "writable"), Files: places.Draw(t, "files")}
		abi := rapid.IntRange(1, 12).Draw(t, "abi")
		set, _ := Compile(req, abi)
		for _, r := range set.Rules {
			if r.Access == 0 || r.Access&^set.FS != 0 {
				t.Errorf("%v: not a subset of %v", r, set.FS)
			}
			if !r.Dir && r.Access&^onFiles != 0 {
				t.Errorf("%v: a right of directories on a file", r)
			}
			if r.Planned != strings.HasPrefix(r.Path, Workspace) {
				t.Errorf("%v: outside %s or taken for fixed", r, Workspace)
			}
		}
	})
}

func TestAccessString(t *testing.T) {
	for want, a := range map[string]Access{
		"":                       0,
		"execute|refer":          Execute | Refer,
		"resolve_unix|0x8000000": ResolveUnix | 1<<27,
	} {
		if got := a.String(); got != want {
			t.Errorf("Access(%#x) = %q, want %q", uint64(a), got, want)
		}
	}
}
