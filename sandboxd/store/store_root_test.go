//go:build root

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestObjectsBelongToTheViewsGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("root tests need root")
	}
	path := filepath.Join(t.TempDir(), "store")
	check := func(name string, mode os.FileMode, gid uint32) {
		t.Helper()
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != mode || st.Uid != 0 || st.Gid != gid {
			t.Errorf("%s is %v of %d:%d, want %v of 0:%d", name, info.Mode(), st.Uid, st.Gid, mode, gid)
		}
	}
	var objects []string
	for _, gid := range []uint32{3_141_592, 3_141_593} {
		s, err := Open(path, Options{ViewGID: gid})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 200_000} {
			text := strings.Repeat(fmt.Sprint(gid), size)
			snapshot := putTree(t, s, map[string]string{"f": text})
			objects = append(objects, "objects/"+ObjectPath(tree.Sum([]byte(text))))
			check("trees/"+snapshot.Digest().String(), 0o400, gid)
			snapshot.Close()
		}
		s.Close()
		check(".", 0o700, 0)
		check("trees", 0o700, 0)
		check("objects", 0o710, gid)
		check("objects/00", 0o710, gid)
		for _, object := range objects {
			check(object, 0o440, gid)
		}
	}
}
