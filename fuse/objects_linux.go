package fuse

import (
	"container/list"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// maxIdle is how many large objects stay open while nobody reads them.
const maxIdle = 64

// objects opens contents by digest. Large ones stay open for a while.
type objects struct {
	dir *os.File

	mu     sync.Mutex
	cached map[tree.Digest]*object
	idle   *list.List // of *object with no users, least recently used first
	closed bool
}

// object is one open content.
type object struct {
	fd     int
	digest tree.Digest
	shared bool          // is in objects.cached
	users  int           // guarded by objects.mu if shared
	place  *list.Element // in objects.idle
}

func newObjects(dir *os.File) *objects {
	return &objects{dir: dir, cached: map[tree.Digest]*object{}, idle: list.New()}
}

// acquire returns the open object. It must be released.
func (s *objects) acquire(d tree.Digest, size int64) (*object, error) {
	if size <= wholeFile {
		return s.open(d, size)
	}
	if o := s.reuse(d); o != nil {
		return o, nil
	}
	o, err := s.open(d, size)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached[d] == nil && !s.closed {
		o.shared, o.users = true, 1
		s.cached[d] = o
	}
	return o, nil
}

func (s *objects) reuse(d tree.Digest) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.cached[d]
	if o == nil {
		return nil
	}
	o.users++
	if o.place != nil {
		s.idle.Remove(o.place)
		o.place = nil
	}
	return o
}

func (s *objects) release(o *object) {
	if !o.shared {
		unix.Close(o.fd)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.users--; o.users > 0 {
		return
	}
	o.place = s.idle.PushBack(o)
	if s.closed || s.idle.Len() > maxIdle {
		s.drop(s.idle.Front())
	}
}

func (s *objects) drop(place *list.Element) {
	o := s.idle.Remove(place).(*object)
	delete(s.cached, o.digest)
	unix.Close(o.fd)
}

// close closes what is idle now, and the rest as it is released.
func (s *objects) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.idle.Len() > 0 {
		s.drop(s.idle.Front())
	}
}

// open opens an object below the directory, through no link, and checks that
// it is a file of the right size.
func (s *objects) open(d tree.Digest, size int64) (*object, error) {
	hex := d.String()
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat2(int(s.dir.Fd()), hex[:2]+"/"+hex[2:], &how)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open object %s: %w", hex, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != size {
		unix.Close(fd)
		return nil, fmt.Errorf("object %s is no file of %d bytes", hex, size)
	}
	return &object{fd: fd, digest: d}, nil
}

// retry calls f again while a signal or a rename elsewhere disturbed it.
func retry(f func() (int, error)) (int, error) {
	for tries := 0; ; tries++ {
		n, err := f()
		disturbed := errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN)
		if !disturbed || tries > 100 {
			return n, err
		}
	}
}
