package native

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

func newWatch() *watch {
	return &watch{started: make(chan error, 1), batches: make(chan []runtime.FileEvent, 2)}
}

func some() *worker.Events {
	return &worker.Events{Events: []worker.Event{{Change: worker.Created, Path: "x"}}}
}

// TestWatchTrustsNoWorker feeds what a worker that was taken over may send:
// each must end the sandbox, and none may block or fill the daemon.
func TestWatchTrustsNoWorker(t *testing.T) {
	last := some()
	last.Last = true
	for name, messages := range map[string][]worker.Message{
		"events before it watches":        {some()},
		"the end before it watches":       {last},
		"two answers":                     {&worker.Result{}, &worker.Result{}},
		"events that nobody asked for":    {&worker.Result{}, some()},
		"more events than were asked for": {&worker.Result{}, nil, some(), some()},
		"events elsewhere":                {&worker.Result{}, nil, &worker.Events{Events: []worker.Event{{Change: worker.Created, Path: "../x"}}}},
		"no events":                       {&worker.Result{}, nil, &worker.Events{}},
		"something else":                  {&worker.Result{}, &worker.Entries{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch()
			for i, m := range messages {
				if m == nil {
					w.asked.Store(true)
					continue
				}
				more, err := w.receive(m, nil)
				if i == len(messages)-1 {
					if err == nil {
						t.Errorf("%+v is accepted", m)
					}
				} else if err != nil || !more {
					t.Fatalf("%+v: more is %v, %v", m, more, err)
				}
			}
			w.abandon() // as the end of the sandbox does
		})
	}
	w := newWatch()
	if _, err := w.receive(&worker.Result{}, []*os.File{nil}); err == nil {
		t.Error("a file is accepted")
	}
}

func TestWatchEnds(t *testing.T) {
	ctx := context.Background()
	w := newWatch()
	if more, err := w.receive(&worker.Result{Errno: uint32(syscall.ENOTDIR)}, nil); more || err != nil {
		t.Errorf("more is %v, %v", more, err)
	}
	if err := <-w.started; !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("started with %v", err)
	}
	w = newWatch()
	w.asked.Store(true)
	end := some()
	end.Last = true
	for _, m := range []worker.Message{&worker.Result{}, some(), end} {
		if _, err := w.receive(m, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if events, err := w.Next(ctx); len(events) != 1 || err != nil {
			t.Errorf("next is %v, %v", events, err)
		}
	}
	for range 2 {
		if _, err := w.Next(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
	}
	w.Close()
	w = newWatch()
	if _, err := w.receive(&worker.Result{}, nil); err != nil {
		t.Fatal(err)
	}
	w.abandon()
	if _, err := w.Next(ctx); !errors.Is(err, runtime.ErrEnded) {
		t.Errorf("after the sandbox's end: %v", err)
	}
}
