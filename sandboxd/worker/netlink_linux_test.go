package worker

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSignalsDoNotInterruptTheMaker sends what the Go runtime preempts with, and
// collects garbage meanwhile: that must not wait for the thread.
func TestSignalsDoNotInterruptTheMaker(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	thread, result := make(chan int), make(chan error)
	go func() {
		runtime.LockOSThread() // and it ends with the goroutine
		blockSignals()
		thread <- unix.Gettid()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(r.Fd()), Events: unix.POLLIN}}, -1)
		if err == nil && n != 1 {
			err = errors.New("nothing to read")
		}
		result <- err
	}()
	id := <-thread
	for range 100 {
		if err := unix.Tgkill(os.Getpid(), id, unix.SIGURG); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	if _, err := w.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("a wait of the thread ended with %v", err)
	}
}
