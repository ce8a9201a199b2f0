package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// input reads a file until a context ends, whatever the file is: a terminal or
// a pipe that stays silent does not hold it up.
type input struct {
	file *os.File
	wake *os.File // readable once the context has ended
	stop func() bool
}

func newInput(ctx context.Context, file *os.File) (*input, error) {
	wake, signal, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = signal.Close()
		close(closed)
	})
	return &input{file: file, wake: wake, stop: func() bool {
		if stop() {
			return signal.Close() == nil
		}
		<-closed
		return true
	}}, nil
}

// Read returns io.EOF when the context has ended.
func (in *input) Read(buf []byte) (int, error) {
	fds := []unix.PollFd{
		{Fd: int32(in.file.Fd()), Events: unix.POLLIN},
		{Fd: int32(in.wake.Fd()), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case fds[1].Revents != 0:
			return 0, io.EOF
		}
		n, err := unix.Read(int(fds[0].Fd), buf)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (in *input) Close() {
	in.stop()
	_ = in.wake.Close()
}
