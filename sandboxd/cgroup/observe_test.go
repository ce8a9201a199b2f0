package cgroup

import "testing"

func TestMemoryGroups(t *testing.T) {
	for list, want := range map[string][2]string{
		"":                                 {},
		"0::/a/b\n":                        {"", "/a/b"},
		"4:memory:/x\n0::/\n":              {"/x", "/"},
		"9:cpu,memory:/x:y\n":              {"/x:y", ""},
		"3:memory2:/x\n1:name=memory:/z\n": {},
		"torn":                             {},
	} {
		first, second := memoryGroups(list)
		if got := [2]string{first, second}; got != want {
			t.Errorf("memoryGroups(%q) = %q, want %q", list, got, want)
		}
	}
}
