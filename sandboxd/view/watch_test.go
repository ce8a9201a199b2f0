package view

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/view/handover"
)

// TestWatch plays the view process: some program that runs until it is killed,
// with pongs of our making.
func TestWatch(t *testing.T) {
	for name, tt := range map[string]struct {
		pong   func(n uint64) (busy, done uint64)
		killed bool
	}{
		"idle view lives":                {func(uint64) (uint64, uint64) { return 0, 5 }, false},
		"busy view that gets on lives":   {func(n uint64) (uint64, uint64) { return 3, n }, false},
		"busy view with nothing done":    {func(uint64) (uint64, uint64) { return 1, 5 }, true},
		"a while without progress is ok": {func(n uint64) (uint64, uint64) { return 1, n / 3 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, p, other := watched(t)
			watching := make(chan struct{})
			go func() {
				defer close(watching)
				i.watch(p, slog.New(slog.DiscardHandler))
			}()
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				for n := range uint64(12) {
					if _, err := handover.Receive(other); err != nil {
						return
					}
					busy, done := tt.pong(n)
					_ = handover.Send(other, handover.Message{Kind: handover.Fault, Text: "noise"})
					_ = handover.Send(other, handover.Message{Kind: handover.Pong, Busy: busy, Done: done})
				}
			}()
			if tt.killed {
				<-i.ended
				_ = p.control.Close()
			} else {
				<-answered
				if isClosed(i.ended) {
					t.Error("the process was killed")
				}
				i.stop()
			}
			<-watching
			_ = other.Close()
			<-answered
			p.kill()
			<-i.ended
		})
	}
}

func TestWatchKillsWhoDoesNotAnswer(t *testing.T) {
	i, p, other := watched(t)
	i.m.timing.pong = 20 * time.Millisecond
	i.watch(p, slog.New(slog.DiscardHandler))
	<-i.ended
	if _, err := handover.Receive(other); err != nil {
		t.Errorf("no ping was sent: %v", err)
	}
	if err := p.finish(time.Second); err != nil {
		t.Error(err)
	}
	if err := other.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func watched(t *testing.T) (*instance, *process, *os.File) {
	t.Helper()
	m := NewManager(Config{Dir: t.TempDir()})
	m.timing = timing{ping: time.Millisecond, pong: 10 * time.Second, stuck: 4, grace: time.Second}
	i := newInstance(m, Key{}, "view", 1)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command("sleep", "1000"), control: os.NewFile(uintptr(pair[0]), "control"), ended: i.ended, lastWords: &tail{}}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(i.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() { _ = p.control.Close() })
	return i, p, os.NewFile(uintptr(pair[1]), "other")
}
