package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
)

// job is a file whose content the store may lack. The reader closes it.
type job struct {
	fd  int
	dir *dir
	it  *item
}

func (j job) path() string { return j.dir.join(j.it.entry.Name) }

// tick is more than the time in which a file can change twice under one time
// stamp, where stamps are finer than a second.
const tick = 20 * time.Millisecond

// A file that changes gets this long to come to rest, but three reads at least.
const (
	patience = 2 * time.Second
	minReads = 3
)

func (w *walk) reader() {
	for jobs := range w.jobs {
		for _, j := range jobs {
			if w.ctx.Err() == nil {
				if err := w.read(j); err != nil {
					w.fail(err)
				}
			}
			unix.Close(j.fd)
		}
	}
}

var errTorn = errors.New("torn")

// read puts a file into the store once it has held still: the same size and
// times before and after, and no change so recent that another one could hide
// under the same time.
func (w *walk) read(j job) error {
	w.reads.Add(1)
	reads := 0
	waited := time.Duration(0)
	for start := time.Now(); waited < patience && (reads < minReads || time.Since(start) < patience); {
		var before unix.Stat_t
		if err := unix.Fstat(j.fd, &before); err != nil {
			return &PathError{"stat", j.path(), err}
		}
		if wait := w.rest(&before, time.Now()); wait > 0 {
			if err := sleep(w.ctx, wait); err != nil {
				return err
			}
			waited += wait
			continue
		}
		reads++
		r := &fdReader{ctx: w.ctx, fd: j.fd, total: &w.bytesRead, limit: before.Size}
		d, _, err := w.batch.PutChecked(r, func(n int64) error {
			var after unix.Stat_t
			if err := unix.Fstat(j.fd, &after); err != nil {
				return &PathError{"stat", j.path(), err}
			}
			if n != before.Size || !sameContent(&before, &after) {
				return errTorn
			}
			return nil
		})
		switch {
		case err == nil:
			j.it.set(&before)
			j.it.entry.Digest = d
			return nil
		case errors.Is(err, errTorn):
			if err := sleep(w.ctx, time.Duration(min(reads, 10))*tick); err != nil {
				return err
			}
		case r.err != nil:
			return &PathError{"read", j.path(), r.err}
		default:
			return err
		}
	}
	return &PathError{"read", j.path(), ErrChanging}
}

// restless returns how long to wait until a change would show.
func restless(st *unix.Stat_t, now time.Time) time.Duration {
	age := now.Sub(time.Unix(st.Ctim.Unix()))
	if age < 0 || age >= tick {
		return 0
	}
	return tick - age
}

func sameContent(a, b *unix.Stat_t) bool {
	return a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fdReader reads a file from its start. It stops behind the size that the file
// should have: one byte more shows that it has grown.
type fdReader struct {
	ctx   context.Context
	fd    int
	off   int64
	limit int64
	total *atomic.Int64
	err   error
}

func (r *fdReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.off > r.limit {
		return 0, io.EOF
	}
	if room := r.limit + 1 - r.off; int64(len(p)) > room {
		p = p[:room]
	}
	var n int
	if err := retry(func() (err error) {
		n, err = unix.Pread(r.fd, p, r.off)
		return err
	}); err != nil {
		r.err = err
		return 0, err
	}
	if n <= 0 {
		return 0, io.EOF
	}
	r.off += int64(n)
	r.total.Add(int64(n))
	return n, nil
}

// readIgnoreFile gives a directory the patterns of its own IgnoreFile. As in
// git, it must be a regular file, and it counts even if it is ignored itself;
// one that the policy hides is not read.
func (w *walk) readIgnoreFile(d *dir, fd int, names []dirent) error {
	for _, e := range names {
		if e.name != IgnoreFile || e.kind != unix.DT_REG && e.kind != unix.DT_UNKNOWN {
			continue
		}
		if w.req.Policy != nil && d.cursor.Child(e.name).Verdict().Level == policy.None {
			return nil
		}
		content, err := readSmall(fd, e.name)
		if err == nil && content != nil {
			d.ignore, err = d.ignore.below(d.path, content)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return &PathError{"read", d.join(e.name), err}
		}
	}
	return nil
}

// readSmall returns nil if there is no regular file of that name.
func readSmall(dir int, name string) ([]byte, error) {
	var st unix.Stat_t
	if err := statAt(dir, name, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, nil
	}
	fd, again, err := openSameFile(dir, name, fileID{st.Dev, st.Ino})
	if again {
		err = ErrChanging
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var total atomic.Int64
	content, err := io.ReadAll(&fdReader{ctx: context.Background(), fd: fd, limit: maxIgnoreFile, total: &total})
	if len(content) > maxIgnoreFile {
		return nil, fmt.Errorf("%w: more than %d bytes of patterns", ErrTooLarge, maxIgnoreFile)
	}
	if content == nil {
		content = []byte{}
	}
	return content, err
}
