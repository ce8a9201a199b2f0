//go:build root

package view

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// overlay mounts an overlay on a view, as a sandbox has it, and returns where.
func (w *world) overlay(v *View) string {
	w.t.Helper()
	dir, err := os.MkdirTemp(w.dir, "overlay")
	if err != nil {
		w.t.Fatal(err)
	}
	merged, unmount := w.overlayIn(dir, v)
	w.t.Cleanup(unmount)
	return merged
}

// overlayIn is overlay with a directory that may hold changes already.
func (w *world) overlayIn(dir string, v *View) (merged string, unmount func()) {
	w.t.Helper()
	paths := map[string]string{}
	for _, name := range []string{"upper", "work", "merged"} {
		paths[name] = filepath.Join(dir, name)
		if err := os.MkdirAll(paths[name], 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, path := range []string{dir, paths["upper"]} {
		if err := os.Chmod(path, 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.Chown(path, sandboxID, sandboxID); err != nil {
			w.t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,xino=on,redirect_dir=off,metacopy=off,index=off",
		v.Path(), paths["upper"], paths["work"])
	if err := unix.Mount("overlay", paths["merged"], "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		w.t.Fatalf("cannot mount overlay: %v", err)
	}
	// Nothing of this run's time shows in the root.
	if err := os.Chtimes(paths["upper"], time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		w.t.Fatal(err)
	}
	return paths["merged"], func() {
		if err := unix.Unmount(paths["merged"], unix.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	}
}

// script runs a shell script in a directory as the sandbox's user.
func script(t *testing.T, dir, text string) string {
	t.Helper()
	cmd := asSandbox("/bin/bash", "-c", "cd "+dir+" && umask 022\n"+text)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("script: %v\n%s\n%s", err, text, out)
	}
	return strings.ReplaceAll(string(out), dir, "DIR")
}

func TestOverlayOnView(t *testing.T) {
	w := newWorld(t)
	w.file("/run.sh", "#!/bin/sh\necho ran\n", 0o755)
	w.file("/a.txt", "alpha\n", 0o644)
	w.file("/b.txt", "beta\n", 0o644)
	w.file("/gone.txt", "gone\n", 0o644)
	w.file("/big", strings.Repeat("0123456789abcdef", 1<<16), 0o644)
	w.file("/dir/x", "x\n", 0o644)
	w.file("/dir/sub/y", "y\n", 0o644)
	w.file("/shut", "secret\n", 0o644)
	w.file("/.env", "KEY=1\n", 0o644)
	w.link("/link", "a.txt")
	v := w.view("**/*=write", "/**=write", "/shut=view@1", "**/.env*=none@1")
	for name, tt := range map[string]struct{ script, want string }{
		"read and exec": {"cat a.txt link; ./run.sh", "alpha\nalpha\nran\n"},
		"one device":    {"stat -c %d . a.txt dir dir/x | sort -u | wc -l", "1\n"},
		"append copies up, inode stays": {
			"i=$(stat -c %i b.txt); echo more >>b.txt; cat b.txt; test $i = $(stat -c %i b.txt) && echo same; stat -c %U:%a b.txt",
			"beta\nmore\nsame\nUNKNOWN:644\n",
		},
		"O_TRUNC":             {"echo new >big; cat big", "new\n"},
		"rename of a file":    {"mv dir/x dir/z; ls dir; cat dir/z", "sub\nz\nx\n"},
		"rename of directory": {"mv dir/sub moved && ls dir; cat moved/y", "x\ny\n"},
		"whiteout":            {"rm gone.txt; cat gone.txt; ls -a", "cat: gone.txt: No such file or directory\n.\n..\na.txt\nb.txt\nbig\ndir\nlink\nrun.sh\nshut\n"},
		"view stays shut":     {"cat shut; stat -c %a shut; true", "cat: shut: Permission denied\n0\n"},
		"hidden name is free": {"cat .env; echo mine >.env; cat .env", "cat: .env: No such file or directory\nmine\n"},
		"mmap": {
			`/usr/bin/python3 -c 'import mmap; f=open("a.txt","r+b"); m=mmap.mmap(f.fileno(),0); m[0:1]=b"A"; m.flush(); m.close(); print(open("a.txt").read(), end="")'`,
			"Alpha\n",
		},
		"utimes and chmod":       {"touch -d @1234567890 run.sh; chmod 700 run.sh; stat -c '%Y %a' run.sh; ./run.sh", "1234567890 700\nran\n"},
		"no extended attributes": {"cp -a dir copy; cat copy/x", "x\n"},
		"flock":                  {"flock a.txt echo locked", "locked\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := script(t, w.overlay(v), tt.script); got != tt.want {
				t.Errorf("%s\nprints %q\nwant   %q", tt.script, got, tt.want)
			}
		})
	}
	if got, err := os.ReadFile(filepath.Join(v.Path(), "a.txt")); string(got) != "alpha\n" || err != nil {
		t.Errorf("the view itself changed: %q, %v", got, err)
	}
}

// TestChangesSurviveAnotherView: a sandbox that is stopped and started again
// has its changes on a view that another process serves.
func TestChangesSurviveAnotherView(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.file(fmt.Sprintf("/d/f%d", i), fmt.Sprintf("%d\n", i), 0o644)
	}
	key := Key{w.snapshot(), compile(t, "**/*=write", "/**=write"), sandboxID}
	v, dir := w.acquire(key), filepath.Join(w.dir, "changes")
	merged, unmount := w.overlayIn(dir, v)
	script(t, merged, "for i in 1 2 3 4; do echo changed >>d/f$i; done; rm d/f5; mkdir new; mv d/f6 new; chmod 700 d")
	unmount()
	w.end(v)
	merged, unmount = w.overlayIn(dir, w.acquire(key))
	defer unmount()
	got := script(t, merged, "cat d/f1 d/f7 new/f6; ls d | wc -l; stat -c '%a %d' d d/f1 d/f7 | uniq | wc -l; stat -c %i d/* | sort | uniq -d")
	if want := "1\nchanged\n7\n6\n48\n2\n"; got != want {
		t.Errorf("after a restart the sandbox prints %q, want %q", got, want)
	}
}

// TestViewEntriesCannotBeCopiedUp: even root, who mounts the overlay, gets no
// content of a view entry into the upper directory.
func TestViewEntriesCannotBeCopiedUp(t *testing.T) {
	w := newWorld(t)
	w.file("/shut", "secret\n", 0o644)
	merged := w.overlay(w.view("**/*=view"))
	if err := os.Chmod(filepath.Join(merged, "shut"), 0o644); err == nil {
		t.Error("chmod copied a view entry up")
	}
	if got, err := os.ReadFile(filepath.Join(merged, "shut")); err == nil {
		t.Errorf("root reads %q", got)
	}
}

// tour looks at everything but the root itself, and at names that may be
// hidden. The root belongs to the upper directory where there is one.
const tour = `
look() { stat -c '%n %f %h %u %g %s %b %B %o %Y %Z %X %t %T' "$@" 2>&1; }
find * -printf '%p %i %m %n %s %k %b %d %y %l %T@ %C@ %A@\n'
ls -anR --time-style=full-iso *
ls -f . d
for f in d .env d/.env secrets secrets/token none none/x d missing d/missing keys keys/a.key; do
	look $f; cat $f 2>&1; readlink $f; test -e $f; echo $?; ls $f/ 2>&1; (cd $f/..) 2>&1
done
du -s * 2>&1
grep -r . . 2>&1
tar cf - * 2>&1 | sha256sum
`

// figures is what only the view itself tells.
const figures = `
stat -c '%n %i %f %h %u %g %s %b %Y' . .. | head -n1
stat -f -c '%t %l %s %S %b %f %a %c %d' . d
df . | tail -n1 | cut -d/ -f1
tar cf - . 2>&1 | sha256sum
`

// change does what agents do in their own delta, to hidden names too.
const change = `
mkdir secrets 2>&1; echo $?
echo mine > .env; cat .env
rmdir secrets; echo $?
mkdir none 2>&1; rmdir none 2>&1
mv d/.env d/e 2>&1; ln a l; ln d/.env x 2>&1
rm -f keys/a.key; echo $?
rmdir keys 2>&1; echo $?
mkdir -p secrets/deep; echo 1 > secrets/deep/x; rm -r secrets; echo $?
mv keys keys2 2>&1; echo $?; ls keys2
rm -rf d; echo $?; mkdir d; ls -a d
find . -printf '%p %m %n %y\n' | sort
`

// TestHiddenEntriesLeaveNoTraceInTheKernel runs the same programs over two
// snapshots that differ in hidden entries alone.
func TestHiddenEntriesLeaveNoTraceInTheKernel(t *testing.T) {
	rules := []string{
		"**/*=write", "/**=write", "**/.env=none@1", "**/secrets/**=none@1", "/none/**=none@1", "**/*.key=none@1", "/closed=view@1",
	}
	build := func(hidden func(*world)) (plain, merged, changed string) {
		w := newWorld(t)
		w.file("/a", "alpha\n", 0o644)
		w.file("/closed", "closed\n", 0o644)
		w.file("/d/f", "f\n", 0o755)
		w.file("/d/z", "z\n", 0o600)
		w.link("/d/l", "f")
		w.file("/keys/public", "public\n", 0o644)
		hidden(w)
		v := w.view(rules...)
		merged = w.overlay(v)
		return script(t, v.Path(), tour+figures), script(t, merged, tour), script(t, w.overlay(v), change)
	}
	plain, merged, changed := build(func(*world) {})
	plain2, merged2, changed2 := build(func(w *world) {
		w.file("/.env", "KEY=1\n", 0o644)
		w.file("/d/.env", "KEY=2\n", 0o644)
		w.file("/secrets/token", "token\n", 0o644)
		w.link("/secrets/link", "token")
		w.file("/d/secrets/deep/er", "x\n", 0o600)
		w.file("/none/x", "x\n", 0o777)
		for i := range 300 {
			w.file(fmt.Sprintf("/keys/%d.key", i), "key\n", 0o644)
		}
	})
	for name, got := range map[string][2]string{"view": {plain, plain2}, "overlay": {merged, merged2}, "changes": {changed, changed2}} {
		if got[0] != got[1] {
			t.Errorf("%s tells them apart:\n%s\n---\n%s", name, got[0], got[1])
		}
		if !strings.Contains(got[0], "f") || strings.Contains(got[1], "token\n") {
			t.Errorf("%s prints\n%s", name, got[0])
		}
	}
}
