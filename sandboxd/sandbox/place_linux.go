package sandbox

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/disk"
)

// diskName is the file of a delta with a limit.
const diskName = "disk"

// makePlace makes upper and work: in a new state directory, or on a disk in it
// where the delta has a limit. Fill may put something there.
func makePlace(ctx context.Context, dir *os.Root, info Info, fill func(place *os.File) error) (d *disk.Disk, err error) {
	place, err := dir.OpenFile(".", openDir, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state directory: %w", err)
	}
	defer func() { place.Close() }()
	if info.Bounded {
		root, made, err := makeDisk(ctx, dir, info.Limits.Disk)
		if err != nil {
			return nil, err
		}
		place.Close()
		place, d = root, made
	}
	if err = layOut(int(place.Fd()), info.UID); err == nil {
		err = fill(place)
	}
	if err != nil {
		if d != nil {
			d.Close()
		}
		return nil, err
	}
	return d, nil
}

// layOut makes the two directories of an overlay; upper is the sandbox's.
func layOut(at int, uid uint32) error {
	if err := unix.Mkdirat(at, workName, 0o755); err != nil {
		return fmt.Errorf("cannot make %s: %w", workName, err)
	}
	return makeUpperDir(at, upperName, uid)
}

func makeDisk(ctx context.Context, dir *os.Root, size int64) (root *os.File, d *disk.Disk, err error) {
	image, err := dir.OpenFile(diskName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a disk: %w", err)
	}
	defer image.Close()
	if err := disk.Make(ctx, image, size); err != nil {
		return nil, nil, err
	}
	if d, err = disk.Open(ctx, image, true); err != nil {
		return nil, nil, err
	}
	if root, err = d.Mount(); err != nil {
		d.Close()
		return nil, nil, err
	}
	return root, d, nil
}

// openPlace opens the directory that holds upper and work: the root of a mount
// that is the caller's alone, where the delta has a limit.
func (s *Sandbox) openPlace(ctx context.Context) (*os.File, error) {
	info := s.Info()
	dir, err := s.reg.dir.OpenFile(info.ID, openDir, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state directory: %w", err)
	}
	if !info.Bounded {
		return dir, nil
	}
	defer dir.Close()
	s.diskMu.Lock()
	defer s.diskMu.Unlock()
	if s.disk == nil {
		fd, err := unix.Openat(int(dir.Fd()), diskName, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot open the disk: %w", err)
		}
		image := os.NewFile(uintptr(fd), diskName)
		defer image.Close()
		if s.disk, err = disk.Open(ctx, image, false); err != nil {
			return nil, err
		}
	}
	return s.disk.Mount()
}

// closeDisk lets go of the delta's disk. It can be opened again.
func (s *Sandbox) closeDisk() {
	s.diskMu.Lock()
	defer s.diskMu.Unlock()
	if s.disk != nil {
		s.disk.Close()
		s.disk = nil
	}
}
