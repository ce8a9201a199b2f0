package worker

import (
	"testing"

	"golang.org/x/sys/unix"
)

// With every slot taken by a slow call, what comes next is still heard: it may
// be the end of a command.
func TestSlowFileCallsHoldUpNoMessage(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(pair[:])
	s := &initServer{up: NewConn(pair[0]), slots: make(chan struct{}, 1)}
	s.slots <- struct{}{}
	const calls = 3
	for id := range uint32(calls) {
		if err := s.handle(&Stat{ID: id, Path: "/"}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	<-s.slots
	daemon := NewConn(pair[1])
	for range calls {
		b, _, err := daemon.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Unmarshal(b); err != nil || m.Kind() != KindEntries {
			t.Errorf("answer is %v, %v", m, err)
		}
	}
}
