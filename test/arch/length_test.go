package arch

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

const maxLines = 400

var generated = regexp.MustCompile(`(?m)^(//|#) .*([Cc]ode generated|[Gg]enerated by).*$`)

// One file is about one noun; what grows over the limit is two things.
func TestFilesStayShort(t *testing.T) {
	top := root(t)
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := e.Name(); e.IsDir() && path != top && (name[0] == '.' || name == "bin" || name == "node_modules") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".py" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		head := data[:min(len(data), 1024)]
		if lines := bytes.Count(data, []byte("\n")); lines > maxLines && !generated.Match(head) {
			t.Errorf("%s has %d lines, over %d: split it by noun", path, lines, maxLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
