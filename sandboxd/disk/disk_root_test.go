//go:build root

package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func image(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "image"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := Make(t.Context(), f, size); err != nil {
		t.Fatal(err)
	}
	return f
}

func mounted(t *testing.T, f *os.File, fresh bool) (*Disk, *os.File, string) {
	t.Helper()
	d, err := Open(t.Context(), f, fresh)
	if err != nil {
		t.Fatal(err)
	}
	root, err := d.Mount()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close(); d.Close() })
	return d, root, fmt.Sprintf("/proc/self/fd/%d", root.Fd())
}

func TestWhatIsFullIsENOSPC(t *testing.T) {
	for _, size := range []int64{MinBytes, 32<<20 + 1} {
		f := image(t, size)
		_, _, path := mounted(t, f, true)
		var total int64
		var err error
		for err == nil {
			var file *os.File
			if file, err = os.OpenFile(path+"/big", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err == nil {
				var n int
				n, err = file.Write(bytes.Repeat([]byte("x"), 1<<20))
				total += int64(n)
				file.Close()
			}
			if total > 2*size {
				t.Fatalf("a disk of %d bytes took %d", size, total)
			}
		}
		if !errors.Is(err, unix.ENOSPC) || total < size*7/10 {
			t.Errorf("a disk of %d bytes took %d, then %v", size, total, err)
		}
		if err := os.Remove(path + "/big"); err != nil {
			t.Errorf("a full disk lets nothing be removed: %v", err)
		}
		err = nil
		for n := int64(0); err == nil; n++ {
			err = os.WriteFile(fmt.Sprintf("%s/%d", path, n), nil, 0o600)
			if n > size/BytesPerInode+256 {
				t.Fatalf("a disk of %d bytes took %d files", size, n)
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("one file too many is %v", err)
		}
	}
}

func TestContentOutlastsTheMount(t *testing.T) {
	f := image(t, MinBytes)
	d, root, path := mounted(t, f, true)
	if err := os.WriteFile(path+"/x", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	root.Close()
	d.Close()
	_, _, path = mounted(t, f, false)
	if got, err := os.ReadFile(path + "/x"); string(got) != "kept" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOneFileIsAttachedOnce(t *testing.T) {
	f := image(t, MinBytes)
	first, _, path := mounted(t, f, true)
	second, _, other := mounted(t, f, false)
	if first.loop.Name() != second.loop.Name() {
		t.Errorf("attached to %s and %s", first.loop.Name(), second.loop.Name())
	}
	if err := os.WriteFile(path+"/x", []byte("seen"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(other + "/x"); string(got) != "seen" {
		t.Errorf("the other mount shows %q, %v", got, err)
	}
}

func TestNothingIsLeftAttached(t *testing.T) {
	f := image(t, MinBytes)
	d, root, _ := mounted(t, f, true)
	root.Close()
	d.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		loop, err := attached(f)
		if loop == nil && err == nil {
			return
		}
		loop.Close()
		if time.Now().After(deadline) {
			t.Fatalf("still attached: %v", err)
		}
	}
}

func TestADamagedDiskIsMendedOrRefused(t *testing.T) {
	f := image(t, MinBytes)
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 64<<10), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), f, false); err == nil || !strings.Contains(err.Error(), "e2fsck") {
		t.Errorf("Open() of garbage = %v, want what e2fsck says", err)
	}
}

func TestImpossibleSizesAreRefused(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int64{-1, 0, MinBytes - 1, MaxBytes + 1} {
		if err := Make(t.Context(), f, size); !errors.Is(err, unix.EINVAL) {
			t.Errorf("Make(%d) = %v, want EINVAL", size, err)
		}
	}
}
