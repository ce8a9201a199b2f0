package host

import "testing"

func TestUsersInTheRange(t *testing.T) {
	const base = 1 << 20
	for name, tt := range map[string]struct {
		data    string
		field   int
		counted bool
		want    string
	}{
		"nobody":                            {"root:x:0:0::/:/bin/sh\n", 2, false, ""},
		"the first uid":                     {"root:x:0:0\nann:x:1048576:1\n", 2, false, "ann"},
		"the last uid":                      {"ann:x:2097151:1\n", 2, false, "ann"},
		"one after the last":                {"ann:x:2097152:1\n", 2, false, ""},
		"a range that reaches in":           {"ann:1000000:65536\n", 1, true, "ann"},
		"a range that ends before":          {"ann:1000000:48576\n", 1, true, ""},
		"a range around all of it":          {"ann:0:4294967295\n", 1, true, "ann"},
		"lines that are no users":           {"# ann:x:1048576\n\n+::::::\nann:x:many:\n", 2, false, ""},
		"a comment with numbers is no user": {"#ann\nbob:x:7:7\n", 2, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := usersIn(tt.data, tt.field, tt.counted, base); got != tt.want {
				t.Errorf("usersIn(%q) = %q, want %q", tt.data, got, tt.want)
			}
		})
	}
}

func TestKernelVersions(t *testing.T) {
	for release, want := range map[string]int{
		"6.1.0-44-cloud-amd64": 6<<8 | 1, "6.18.44-fc": 6<<8 | 18, "5.4": 5<<8 | 4, "7.0-rc1": 7 << 8,
		"": 0, "six": 0, "6": 0, "6.x": 0,
	} {
		if got := kernelVersion(release); got != want {
			t.Errorf("kernelVersion(%q) = %#x, want %#x", release, got, want)
		}
	}
}

func TestOnlyWhatIsMissingStopsSandboxes(t *testing.T) {
	if !Runs([]Check{{State: Ok}, {State: Degraded}}) || Runs([]Check{{State: Ok}, {State: Missing}}) {
		t.Error("Runs() does not tell degraded from missing")
	}
}

func TestEveryCheckThatIsNotOkSaysWhatToDo(t *testing.T) {
	checks := Look(Query{StateDir: "/dev/shm/nowhere", UIDBase: 0, Programs: map[string]string{"sandboxd": "", "x": "/x"}})
	states := map[string]State{}
	for _, c := range checks {
		states[c.Name] = c.State
		if c.Found == "" || (c.State == Ok) != (c.Lost == "" && c.Fix == "") {
			t.Errorf("%+v says too little, or too much", c)
		}
	}
	for name, want := range map[string]State{"uids": Missing, "programs": Missing, "state": Degraded} {
		if states[name] != want {
			t.Errorf("%s is %q, want %q", name, states[name], want)
		}
	}
}
