package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const (
	objectMode     = 0o440
	objectDirMode  = 0o710
	treeMode       = 0o400
	tmpDirMode     = 0o700
	setgid         = 0o2000 // new files get the directory's group
	objectPrefixes = 256
)

// ObjectPath returns where an object lies below ObjectsDir.
func ObjectPath(d tree.Digest) string {
	hex := d.String()
	return hex[:2] + "/" + hex[2:]
}

// ObjectsDir returns the directory that ObjectPath is relative to. It is valid
// until Close and must not be closed by the caller.
func (s *Store) ObjectsDir() *os.File { return s.objects.file }

// Has reports whether the store holds an object. Unless a snapshot, head or
// batch needs the object, it may be collected at once.
func (s *Store) Has(d tree.Digest) bool {
	_, ok := s.objectSize(d)
	return ok
}

func (s *Store) objectSize(d tree.Digest) (int64, bool) {
	st, err := s.objects.stat(ObjectPath(d))
	if err != nil || !isRegular(&st) {
		return 0, false
	}
	return st.Size, true
}

// OpenObject opens an object for reading.
func (s *Store) OpenObject(d tree.Digest) (*os.File, error) {
	f, err := s.objects.open(ObjectPath(d), unix.O_RDONLY)
	if err != nil {
		if os.IsNotExist(err) {
			err = ErrNotFound
		}
		return nil, fmt.Errorf("cannot open object %v: %w", d, err)
	}
	return f, nil
}

// openObjects makes the object directories and gives everything in them to the
// views' group. New files get the group from tmp, without a call for each.
func (s *Store) openObjects() error {
	st, err := s.objects.fstat()
	if err != nil {
		return err
	}
	shared := os.Geteuid() == 0 && s.opt.ViewGID != 0
	regroup := shared && st.Gid != s.opt.ViewGID
	if st.Mode&0o7777 == objectDirMode && !regroup {
		return nil
	}
	if shared {
		if err := s.tmp.chgrpSelf(s.opt.ViewGID); err != nil {
			return err
		}
	}
	if err := s.tmp.chmod(tmpDirMode | setgid); err != nil {
		return err
	}
	for i := range objectPrefixes {
		if err := s.openPrefix(fmt.Sprintf("%02x", i), regroup); err != nil {
			return err
		}
	}
	if regroup {
		if err := s.objects.chgrpSelf(s.opt.ViewGID); err != nil {
			return err
		}
	}
	if err := s.objects.chmod(objectDirMode); err != nil {
		return err
	}
	return s.root.syncAll()
}

func (s *Store) openPrefix(name string, regroup bool) error {
	d, err := s.objects.openOrMakeDir(name, objectDirMode)
	if err != nil {
		return err
	}
	defer d.file.Close()
	if regroup {
		if err := d.chgrpSelf(s.opt.ViewGID); err != nil {
			return err
		}
		if err := d.names(func(name string) error { return d.chgrp(name, s.opt.ViewGID) }); err != nil {
			return err
		}
	}
	return d.chmod(objectDirMode)
}
