package view

import (
	"strings"
	"testing"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestKeysHaveNamesOfTheirOwn(t *testing.T) {
	read, err := policy.Compile([]policy.Rule{{Pattern: "**/*", Level: policy.Read}})
	if err != nil {
		t.Fatal(err)
	}
	view, err := policy.Compile([]policy.Rule{{Pattern: "**/*", Level: policy.View}})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]Key{}
	for _, snapshot := range []tree.Digest{{1}, {2}} {
		for _, p := range []*policy.Policy{read, view} {
			for _, uid := range []uint32{1000, 1001} {
				key := Key{snapshot, p, uid}
				name := key.name()
				if other, ok := names[name]; ok {
					t.Errorf("%v and %v are both %s", key, other, name)
				}
				if name != key.name() || strings.ContainsAny(name, "./") {
					t.Errorf("name of %v is %q", key, name)
				}
				names[name] = key
			}
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var last tail
	for range 1000 {
		_, _ = last.Write([]byte("0123456789"))
	}
	_, _ = last.Write([]byte("end"))
	if s := string(last.data); len(s) != 4096 || !strings.HasSuffix(s, "789end") {
		t.Errorf("tail holds %d bytes and ends with %q", len(s), s[max(0, len(s)-6):])
	}
}
