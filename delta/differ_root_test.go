//go:build root

package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// mount is an overlay on a plain directory.
type mount struct {
	t      *testing.T
	base   *tree.Tree
	merged string
	upper  *os.File
}

func overlay(t *testing.T, fill func(lower string)) *mount {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lower := filepath.Join(dir, "lower")
	fill(lower)
	m := &mount{t: t, base: walked(t, lower), merged: filepath.Join(dir, "merged")}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work,redirect_dir=off,metacopy=off,index=off,xino=on", lower, dir, dir)
	if err := unix.Mount("overlay", m.merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(m.merged, 0); err != nil {
			t.Error(err)
		}
	})
	var err error
	if m.upper, err = os.Open(filepath.Join(dir, "upper")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.upper.Close() })
	return m
}

// walked makes a tree of a directory, by other means than the Differ.
func walked(t *testing.T, dir string) *tree.Tree {
	t.Helper()
	b := tree.NewBuilder()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		e := tree.Entry{Mode: uint32(fi.Mode().Perm())}
		switch {
		case d.IsDir():
			e.Kind = tree.Dir
		case fi.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.Kind, e.Size, e.Digest = tree.File, int64(len(content)), tree.Sum(content)
		case fi.Mode()&os.ModeSymlink != 0:
			e.Kind, e.Mode = tree.Symlink, 0o777
			if e.Target, err = os.Readlink(path); err != nil {
				return err
			}
			e.Size = int64(len(e.Target))
		default:
			return nil
		}
		return b.Add(path[len(dir):], e)
	})
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, b)
}

// contents lists a tree without times.
func contents(t *tree.Tree) string {
	var out []string
	for n := 1; n < t.Len(); n++ {
		e := t.Entry(tree.Node(n))
		out = append(out, fmt.Sprintf("%q %v %o %d %s %q", t.Path(tree.Node(n)), e.Kind, e.Mode, e.Size, e.Digest, e.Target))
	}
	return strings.Join(out, "\n")
}

func (m *mount) shell(command string) {
	m.t.Helper()
	c := exec.Command("bash", "-c", command)
	c.Dir = m.merged
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("%q: %v\n%s", command, err, out)
	}
}

func fillSmall(t *testing.T) func(string) {
	return func(lower string) {
		for path, content := range map[string]string{
			"a": "a", "d/b": "b", "d/c": "c", "d/e/f": "f", "d/.env": "secret", "gone/x": "x", "secrets/t": "t",
		} {
			path = filepath.Join(lower, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("a", filepath.Join(lower, "link")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiffListsWhatChanged(t *testing.T) {
	for name, tt := range map[string]struct{ command, want string }{
		"nothing":                     {"true", ""},
		"only touched":                {"touch a d d/b link -h; chmod 600 a; chmod 644 a", ""},
		"changed back":                {"echo x > a; printf a > a", ""},
		"a new file":                  {"echo x > new", "a/new"},
		"a new tree":                  {"mkdir -p n/m; echo x > n/m/o", "a/n a/n/m a/n/m/o"},
		"other content of equal size": {"printf z > a", "m/a"},
		"same size and time":          {"cp -p a /tmp/.ref.$$; printf z > a; touch -r /tmp/.ref.$$ a; rm /tmp/.ref.$$", "m/a"},
		"another mode":                {"chmod 755 a", "m/a"},
		"a directory's mode":          {"chmod 700 d", "m/d"},
		"a deleted file":              {"rm a", "d/a"},
		"a deleted tree":              {"rm -r gone", "d/gone d/gone/x"},
		"a tree made anew":            {"rm -r gone; mkdir gone; echo y > gone/y", "d/gone/x a/gone/y"},
		"a tree made anew and equal":  {"rm -r gone; mkdir gone; printf x > gone/x", ""},
		"a directory becomes a file":  {"rm -r gone; echo f > gone", "m/gone d/gone/x"},
		"a file becomes a directory":  {"rm a; mkdir a; echo x > a/x", "m/a a/a/x"},
		"a link's target":             {"ln -sfn d link", "m/link"},
		"a link becomes a file":       {"rm link; echo x > link", "m/link"},
		"a renamed file":              {"mv a z", "d/a a/z"},
		"a renamed tree":              {"mv gone z", "d/gone d/gone/x a/z a/z/x"},
		"a FIFO and a socket":         {"mkfifo f; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'", "a/f a/s"},
		"hidden names stay out":       {"rm -r d; mkdir d", "d/d/b d/d/c d/d/e d/d/e/f"},
		"a name over a hidden one":    {"echo mine > d/.env; mkdir -p secrets; echo mine > secrets/t", "a/d/.env a/secrets a/secrets/t"},
		"a hard link":                 {"ln a h; echo more >> h", "m/a a/h"},
		"names that are no text":      {"touch $'\\xff\\n'", "a/\xff\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := overlay(t, fillSmall(t))
			pol := compile(t, "**/*=write", "**/.env=none@9", "**/secrets/**=none@9")
			m.shell(tt.command)
			list, err := Diff(m.upper, m.base, pol, policy.Plan{})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Fields(names(list)), strings.Fields(tt.want); !equalSets(got, want) {
				t.Errorf("%q: Diff() = %q, want %q", tt.command, got, want)
			}
			for _, c := range list {
				hidden := strings.Contains(c.Path, ".env") || strings.HasPrefix(c.Path, "/secrets")
				if c.Shadowed != hidden || c.Refused != (hidden || c.Entry.Kind == 0) {
					t.Errorf("%+v: want shadowed %v", c, hidden)
				}
			}
		})
	}
}

func equalSets(a, b []string) bool {
	count := map[string]int{}
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// sink stands for a batch of the store.
type sink map[tree.Digest][]byte

func (s sink) Put(r io.Reader) (tree.Digest, int64, error) {
	b, err := io.ReadAll(r)
	d := tree.Sum(b)
	s[d] = b
	return d, int64(len(b)), err
}

func TestDiffAndMergeGiveWhatTheSandboxSees(t *testing.T) {
	pol := compile(t, "**/*=write")
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			m := overlay(t, func(lower string) { scramble(rng, lower, 60) })
			differ := NewDiffer(m.base, pol, policy.Plan{})
			for range 3 {
				scramble(rng, m.merged, 40)
				list, err := differ.Diff(m.upper)
				if err != nil {
					t.Fatal(err)
				}
				put := sink{}
				if err := Store(m.upper, list, put); err != nil {
					t.Fatal(err)
				}
				for _, c := range list {
					if c.Op != Deleted && c.Entry.Kind == tree.File && put[c.Entry.Digest] == nil && !bytes.Equal(nil, put[c.Entry.Digest]) {
						t.Errorf("content of %s was not stored", c.Path)
					}
				}
				b, _, refused, err := Merge(m.base, m.base, list, Strict)
				if err != nil || len(refused) > 0 {
					t.Fatalf("Merge() refused %s, %v", names(refused), err)
				}
				if got, want := contents(opened(t, b)), contents(walked(t, m.merged)); got != want {
					t.Fatalf("after %s:\n%s\nwant\n%s", names(list), got, want)
				}
			}
		})
	}
}

// scramble does random things to a directory.
func scramble(rng *rand.Rand, dir string, steps int) {
	path := func() string {
		p := dir
		for range 1 + rng.IntN(3) {
			p += "/" + string(rune('a'+rng.IntN(4)))
		}
		return p
	}
	for range steps {
		switch p := path(); rng.IntN(8) {
		case 0, 1:
			_ = os.WriteFile(p, []byte(strings.Repeat("x", rng.IntN(3))+p[len(p)-1:]), 0o644)
		case 2:
			_ = os.MkdirAll(p, 0o755)
		case 3:
			_ = os.RemoveAll(p)
		case 4:
			_ = os.Symlink("t"+p[len(p)-1:], p)
		case 5:
			_ = exec.Command("mv", "-T", p, path()).Run()
		case 6:
			_ = os.Link(p, path())
		case 7:
			if fi, err := os.Lstat(p); err == nil && fi.Mode()&os.ModeSymlink == 0 {
				_ = os.Chmod(p, os.FileMode(0o700|rng.IntN(2)*0o55))
			}
		}
	}
}

func TestHostileUpperReachesNothingOutside(t *testing.T) {
	m := overlay(t, fillSmall(t))
	pol := compile(t, "**/*=write")
	m.shell("rm -r d; ln -s /etc d; ln -s /etc/passwd p; mkfifo pipe; mknod null c 1 3; for i in $(seq 300); do mkdir deep; cd deep; done")
	list, err := Diff(m.upper, m.base, pol, policy.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if strings.Contains(c.Path, "passwd") || c.Path == "/d" && c.Entry.Kind != tree.Symlink {
			t.Errorf("followed a link: %+v", c)
		}
		if (c.Path == "/pipe" || c.Path == "/null") && !c.Refused {
			t.Errorf("would commit a special file: %+v", c)
		}
	}
	// A file that becomes a link between diff and commit is not followed.
	m.shell("echo x > sly")
	if list, err = Diff(m.upper, m.base, pol, policy.Plan{}); err != nil {
		t.Fatal(err)
	}
	m.shell("rm sly; ln -s /etc/passwd sly")
	if err := Store(m.upper, list, sink{}); err == nil || !strings.Contains(err.Error(), ErrChanged.Error()) {
		t.Errorf("Store() = %v, want ErrChanged", err)
	}
}

func TestPlannedDirectoriesAreNoChange(t *testing.T) {
	m := overlay(t, fillSmall(t))
	pol := compile(t, "**/*=read", "/output/**=write@9")
	plan := policy.Plan{Writable: []string{"/output"}, Created: []string{"/output"}}
	m.shell("mkdir output")
	if list, err := Diff(m.upper, m.base, pol, plan); err != nil || len(list) > 0 {
		t.Errorf("Diff() = %s, %v, want nothing", names(list), err)
	}
	m.shell("echo x > output/x")
	list, err := Diff(m.upper, m.base, pol, plan)
	if err != nil || names(list) != "a/output/x" {
		t.Errorf("Diff() = %s, %v", names(list), err)
	}
	b, _, _, err := Merge(m.base, m.base, list, Strict)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Lookup("/output/x"); !ok {
		t.Error("the parent of an added file was not made")
	}
}

func TestLongPathsAreBounded(t *testing.T) {
	m := overlay(t, fillSmall(t))
	m.shell("mkdir many; cd many; exec python3 -c 'import os\n" +
		"os.symlink(\"x\" * 4090, \"first\")\n" +
		"for n in range(33000): os.link(\"first\", str(n), follow_symlinks=False)'")
	if list, err := Diff(m.upper, m.base, compile(t, "**/*=write"), policy.Plan{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Diff() = %d changes, %v, want ErrTooLarge", len(list), err)
	}
}
