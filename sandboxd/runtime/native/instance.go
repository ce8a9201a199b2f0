package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// Instance is one running sandbox.
type Instance struct {
	leader Leader
	link   *link
	group  cgroup.Group
	log    *slog.Logger
	forget func()
	ready  chan error // one value: how the set-up went
	over   bool       // it has that value; receive's own
	done   chan struct{}
	// ptmx opens terminals of the sandbox. It is set before ready.
	ptmx *os.File

	mu     sync.Mutex
	lastID uint32
	calls  map[uint32]call
	closed bool  // by Close
	reason error // why it ends, the first that was found
}

// call is something that waits for messages under its own id.
type call interface {
	// receive takes one message and its files; it reports whether the call
	// waits for more, and an error if the worker does not keep to the protocol.
	receive(m worker.Message, files []*os.File) (more bool, err error)
	// abandon is called, instead, when the sandbox has ended.
	abandon()
}

var _ runtime.Instance = (*Instance)(nil)

// Leader is the process that leads a sandbox, its worker. All others of the
// sandbox end before it does.
type Leader interface {
	// Kill ends it. It may have ended by now.
	Kill() error
	// Wait returns when it has ended, and how.
	Wait() (fmt.Stringer, error)
}

// Adopt returns the instance of a worker that has been started and waits for its
// set-up on the other end of a socket. The instance owns all three, and deletes
// the group once the leader has ended.
func Adopt(l Leader, conn *net.UnixConn, group cgroup.Group, log *slog.Logger) *Instance {
	i := &Instance{
		leader: l,
		link:   &link{conn: conn},
		group:  group,
		log:    log,
		forget: func() {},
		ready:  make(chan error, 1),
		done:   make(chan struct{}),
		calls:  map[uint32]call{},
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		i.end(i.receive())
	}()
	go i.wait(received)
	return i
}

// SetUp tells the worker what to become and waits until it serves. The files stay
// the caller's.
func (i *Instance) SetUp(ctx context.Context, s *worker.Setup, files ...*os.File) error {
	if err := i.link.send(s, files...); err != nil {
		return err
	}
	select {
	case err := <-i.ready:
		return err
	case <-i.done:
		select {
		case err := <-i.ready:
			return err
		default:
			return fmt.Errorf("worker ended during set-up: %w", i.Reason())
		}
	case <-ctx.Done():
		return fmt.Errorf("worker does not finish its set-up: %w", ctx.Err())
	}
}

// receive passes on what the worker says until the socket closes.
func (i *Instance) receive() error {
	for {
		m, files, err := i.link.receive()
		if err != nil {
			return err
		}
		if err := i.dispatch(m, files); err != nil {
			closeFiles(files)
			return fmt.Errorf("worker broke the protocol: %w", err)
		}
	}
}

func (i *Instance) dispatch(m worker.Message, files []*os.File) error {
	var id uint32
	switch m := m.(type) {
	case *worker.Ready:
		return i.serves(files)
	case *worker.Failed:
		return i.fails(m.Err(), files)
	case *worker.Started:
		id = m.ID
	case *worker.Exited:
		id = m.ID
	case *worker.Interrupted:
		id = m.ID
	case *worker.Result:
		id = m.ID
	case *worker.Entries:
		id = m.ID
	case *worker.Removed:
		id = m.ID
	case *worker.Events:
		id = m.ID
	default:
		return fmt.Errorf("unexpected message kind %d", m.Kind())
	}
	i.mu.Lock()
	c, ok := i.calls[id]
	i.mu.Unlock()
	if !ok {
		return fmt.Errorf("answer to call %d, which does not wait", id)
	}
	more, err := c.receive(m, files)
	if err != nil {
		return err // the sandbox ends, and the call is abandoned with it
	}
	if !more {
		i.mu.Lock()
		delete(i.calls, id)
		i.mu.Unlock()
	}
	return nil
}

// serves takes the worker's word that it is set up. It comes once, and before
// anything of the sandbox's own could run.
func (i *Instance) serves(files []*os.File) error {
	if i.over {
		return errors.New("second end of the set-up")
	}
	if len(files) != 1 {
		return errors.New("wrong files with the end of the set-up")
	}
	if err := checkPtmx(files[0]); err != nil {
		return err
	}
	i.ptmx, i.over = files[0], true
	i.ready <- nil
	return nil
}

// fails takes the worker's word, in the same place, that it cannot be set up.
func (i *Instance) fails(err error, files []*os.File) error {
	if i.over || len(files) > 0 {
		return errors.New("a failed set-up after its end, or with files")
	}
	i.over = true
	i.blame(err)
	i.ready <- err
	return nil
}

// begin registers a call and sends its first message, built with its new id.
func (i *Instance) begin(c call, message func(id uint32) worker.Message, files ...*os.File) (uint32, error) {
	i.mu.Lock()
	if i.calls == nil {
		i.mu.Unlock()
		return 0, runtime.ErrEnded
	}
	if len(i.calls) >= runtime.MaxCalls {
		i.mu.Unlock()
		return 0, runtime.ErrTooManyExecs
	}
	i.lastID++
	for i.lastID == 0 || i.calls[i.lastID] != nil {
		i.lastID++
	}
	id := i.lastID
	i.calls[id] = c
	i.mu.Unlock()
	i.group.Began()
	if err := i.link.send(message(id), files...); err != nil {
		i.end(err)
		return 0, runtime.ErrEnded
	}
	return id, nil
}

// blame notes why the sandbox ends, unless that is known already.
func (i *Instance) blame(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.reason == nil && !i.closed {
		i.reason = err
	}
}

// end ends the sandbox for a reason.
func (i *Instance) end(reason error) {
	if !errors.Is(reason, errClosed) { // then the worker's own end says why
		i.blame(reason)
	}
	i.kill()
}

// kill ends every process of the sandbox. They may have ended by now.
func (i *Instance) kill() {
	i.group.Hurry(killHurry)
	_ = i.leader.Kill()
}

// wait cleans up after the worker, and with it the whole sandbox, has ended.
func (i *Instance) wait(received <-chan struct{}) {
	state, err := i.leader.Wait()
	i.link.close()
	<-received
	closeFiles([]*os.File{i.ptmx})
	kills, _ := i.group.OOMKills() // tells only more about the reason
	switch {
	case err != nil:
		i.blame(err)
	case kills > 0:
		i.blame(errors.New("the memory limit ended the sandbox's worker"))
	default:
		i.blame(fmt.Errorf("the sandbox's worker ended: %s", state))
	}
	if err := i.group.Delete(); err != nil {
		i.log.Warn("cannot delete cgroup", "error", err)
	}
	i.mu.Lock()
	calls := i.calls
	i.calls = nil
	i.mu.Unlock()
	for _, c := range calls {
		c.abandon()
	}
	i.forget()
	close(i.done)
}

// Done is closed when nothing of the sandbox runs any more.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Reason says why the sandbox ended by itself.
func (i *Instance) Reason() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reason
}

// Close ends the sandbox and waits for it. It can be called again.
func (i *Instance) Close(ctx context.Context) error {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.kill()
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot wait for the sandbox's end: %w", ctx.Err())
	}
}
