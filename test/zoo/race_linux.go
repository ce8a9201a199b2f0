package main

import (
	"bytes"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// raceProbes win only if a name means one thing when it is checked and another
// when it is used.
func raceProbes() []probe {
	return []probe{
		{"race/directory-and-symlink", swapDirectory},
		{"race/file-and-symlink", swapFile},
		{"race/descriptor", swapDescriptor},
	}
}

// swapDirectory swaps a directory and a link to a hidden one, while others open
// what lies in it for reading, and in a protected one for writing.
func swapDirectory(w *world) answer {
	return each(scratch(), func(dir string) answer {
		return each([]string{"vault", "output/kept", "shown"}, func(target string) answer {
			dir, err := os.MkdirTemp(dir, "")
			if err != nil {
				return judge(err, "")
			}
			if err := os.Mkdir(dir+"/real", 0o700); err != nil {
				return judge(err, "")
			}
			if err := os.WriteFile(dir+"/real/inner.txt", []byte("decoy"), 0o600); err != nil {
				return judge(err, "")
			}
			if err := os.Symlink(in(target), dir+"/link"); err != nil {
				return judge(err, "")
			}
			return race(w.race/6, dir+"/real", dir+"/link", dir+"/real/inner.txt", target == "output/kept")
		})
	})
}

// swapFile does the same with a file.
func swapFile(w *world) answer {
	return each(scratch(), func(dir string) answer {
		return each([]string{"secret.env", "fixed/inner.txt"}, func(target string) answer {
			dir, err := os.MkdirTemp(dir, "")
			if err != nil {
				return judge(err, "")
			}
			if err := os.WriteFile(dir+"/real", []byte("decoy"), 0o600); err != nil {
				return judge(err, "")
			}
			if err := os.Symlink(in(target), dir+"/link"); err != nil {
				return judge(err, "")
			}
			return race(w.race/4, dir+"/real", dir+"/link", dir+"/real", target == "fixed/inner.txt")
		})
	})
}

// race swaps a and b for as long as told, while path is opened by two threads.
func race(d time.Duration, a, b, path string, write bool) answer {
	var stop, won atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for !stop.Load() {
			_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
		}
	})
	for range 2 {
		all.Go(func() {
			for !stop.Load() {
				if won.Load() || (write && wroteProtected(path)) || (!write && readSecret(path)) {
					won.Store(true)
					return
				}
			}
		})
	}
	for end := time.Now().Add(d); time.Now().Before(end) && !won.Load(); {
		time.Sleep(10 * time.Millisecond)
	}
	stop.Store(true)
	all.Wait()
	if won.Load() {
		return leak("won on %s", path)
	}
	return blocked("own")
}

func readSecret(path string) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.Contains(b, []byte(secretMark))
}

// wroteProtected opens path for writing without truncation, and looks at what
// it got.
func wroteProtected(path string) bool {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	b := make([]byte, 16)
	n, err := unix.Pread(fd, b, 0)
	return err == nil && bytes.HasPrefix(b[:n], []byte("fixed"))
}

// swapDescriptor exchanges a descriptor of /proc/self/fd between a harmless
// file and one that may only be looked at, while it is opened again.
func swapDescriptor(w *world) answer {
	own := "/tmp/zoo-own"
	if err := os.WriteFile(own, []byte("decoy"), 0o600); err != nil {
		return broken("%v", err)
	}
	return each(unreadable, func(p string) answer {
		harmless, err := unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return broken("%v", err)
		}
		defer unix.Close(harmless)
		looked, err := unix.Open(in(p), unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return judge(err, "")
		}
		defer unix.Close(looked)
		const slot = 200
		_ = unix.Dup3(harmless, slot, unix.O_CLOEXEC)
		var stop atomic.Bool
		var swapping sync.WaitGroup
		swapping.Go(func() {
			for !stop.Load() {
				_ = unix.Dup3(looked, slot, unix.O_CLOEXEC)
				_ = unix.Dup3(harmless, slot, unix.O_CLOEXEC)
			}
		})
		won := false
		for end := time.Now().Add(w.race / 8); time.Now().Before(end) && !won; {
			won = readSecret(fdPath(slot))
		}
		stop.Store(true)
		swapping.Wait()
		if won {
			return leak("read %s", p)
		}
		return blocked("own")
	})
}

// swap exchanges dir/real with a link to one target after the other, until its
// input ends: a race for whoever opens what lies in it.
func swap(dir string, targets ...string) error {
	if err := os.Mkdir(dir+"/real", 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/real/inner.txt", []byte("decoy"), 0o600); err != nil {
		return err
	}
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	for n := 0; !stop.Load(); n++ {
		if err := os.Symlink(targets[n%len(targets)], dir+"/link"); err != nil {
			return err
		}
		for range 51 { // the last of them leaves the link at real
			if err := unix.Renameat2(unix.AT_FDCWD, dir+"/real", unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE); err != nil {
				return err
			}
		}
		if err := os.Remove(dir + "/real"); err != nil {
			return err
		}
		if err := os.Rename(dir+"/link", dir+"/real"); err != nil {
			return err
		}
	}
	return nil
}
