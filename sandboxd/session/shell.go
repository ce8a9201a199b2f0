package session

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/pipe"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

const (
	// openPatience is how long a new shell may take to answer.
	openPatience = 10 * time.Second
	// grace is how long an interrupted shell may take to be ready again.
	grace = 10 * time.Second
	// firstPause and lastPause are between two looks for what an interrupted
	// shell may have started since.
	firstPause = 10 * time.Millisecond
	lastPause  = 160 * time.Millisecond
	// endPatience is how long a killed shell may take to be gone.
	endPatience = 10 * time.Second
)

// shell is one running shell. All but its streams and exited belong to whoever
// has the session's turn.
type shell struct {
	proc     runtime.Process
	channel  *channel
	dialect  dialect
	out, err *stream

	exited chan struct{} // closed when the two below are set
	status runtime.Status
	failed error // instead of a status: its sandbox has ended

	seq   uint32
	last  report
	kills uint64 // see runtime.Interrupter, before the newest command
	told  bool   // something of the newest command was written to it
	torn  bool   // a command was written to it in part
}

// execer starts commands.
type execer interface {
	Exec(ctx context.Context, c runtime.Command) (runtime.Process, error)
}

// openShell starts a shell and waits until it answers. Its goroutines end when
// it has been closed; tasks waits for them.
func openShell(ctx context.Context, in execer, spec runtime.Command, d dialect, pass Pass, tasks *sync.WaitGroup) (_ *shell, err error) {
	sh := &shell{dialect: d, exited: make(chan struct{})}
	var ours, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil && sh.proc == nil {
			closeAll(ours)
		}
	}()
	channel, end, err := newChannel()
	if err != nil {
		return nil, err
	}
	sh.channel, spec.Stdin = channel, end
	ours, theirs = append(ours, channel.conn), append(theirs, end)
	for typ, their := range map[Stream]**os.File{Stdout: &spec.Stdout, Stderr: &spec.Stderr} {
		f, t, err := pipe.New(true)
		if err != nil {
			return nil, err
		}
		*their = t
		ours, theirs = append(ours, f), append(theirs, t)
		if typ == Stdout {
			sh.out = newStream(f, typ, pass)
		} else {
			sh.err = newStream(f, typ, pass)
		}
	}
	spec.Whole = true
	if sh.proc, err = in.Exec(ctx, spec); err != nil {
		return nil, err
	}
	tasks.Go(sh.out.pump)
	tasks.Go(sh.err.pump)
	tasks.Go(sh.wait)
	if err := sh.greet(ctx); err != nil {
		sh.close()
		return nil, err
	}
	return sh, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// wait waits for the shell's end.
func (sh *shell) wait() {
	sh.status, sh.failed = sh.proc.Wait(context.Background())
	close(sh.exited)
	sh.channel.stop()
}

// hasExited reports whether the shell has ended.
func (sh *shell) hasExited() bool {
	select {
	case <-sh.exited:
		return true
	default:
		return false
	}
}

// greet sets a new shell up. What is called sh may turn out to be bash.
func (sh *shell) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience, ErrSilent)
	defer cancel()
	r, err := sh.tell(ctx, sh.dialect.setup(sh.channel.key, sh.seq))
	if _, ok := sh.dialect.(posix); ok && err == nil && isBash(r) {
		sh.dialect = bash{}
		sh.seq++
		_, err = sh.tell(ctx, bash{}.replace()+sh.dialect.setup(sh.channel.key, sh.seq))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case sh.hasExited() && sh.failed != nil:
		return sh.failed
	}
	return fmt.Errorf("%w: %w", ErrSilent, err)
}

// tell writes text to the shell and returns the report that it asks for, which
// has the number sh.seq, or that of a shell which executes itself.
func (sh *shell) tell(ctx context.Context, text string) (report, error) {
	defer sh.channel.during(ctx)()
	if sh.hasExited() { // then nothing stops the channel any more
		return report{}, errExited
	}
	n, err := sh.channel.conn.WriteString(text)
	if sh.told = n > 0; err != nil {
		sh.torn = sh.told
	} else {
		var r report
		if r, err = sh.channel.next(sh.seq); err == nil {
			if !r.revived {
				sh.last = r
			}
			return r, nil
		}
	}
	if gone(err) { // it ends, or it has executed something else
		select {
		case <-sh.exited:
		case <-ctx.Done():
		}
	}
	if sh.hasExited() {
		return report{}, errExited
	}
	return report{}, err
}

// revive gives its state back to a shell that has executed itself.
func (sh *shell) revive(ctx context.Context, r report) error {
	for range 3 { // it may be interrupted, or fail, once more
		sh.seq++
		next, err := sh.tell(ctx, sh.dialect.revive(sh.channel.key, sh.seq, r.state))
		if err != nil || !next.revived {
			return err
		}
		r = next
	}
	return errProtocol
}

// interrupt makes the shell give up its command, and ends what that has
// started. The shell is ready again unless there is an error.
func (sh *shell) interrupt(began time.Duration) error {
	if !sh.told { // it knows nothing of the command
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	in, ok := sh.proc.(runtime.Interrupter)
	if !ok {
		return fmt.Errorf("this runtime cannot interrupt: %w", errProtocol)
	}
	if _, ok := sh.dialect.(bash); ok && sh.channel.unread() > 0 {
		// A bash that executes itself would leave a command that it has not read
		// to its successor. If it was stopped, it goes on; nothing is ended yet.
		if err := in.Interrupt(ctx, runtime.Interruption{Since: math.MaxInt64}); err != nil {
			return err
		}
		sh.channel.taken(ctx)
	}
	what := runtime.Interruption{Signal: interruptSignal, Since: began, Mark: sh.channel.markBefore(sh.seq)}
	if err := in.Interrupt(ctx, what); err != nil {
		return err
	}
	if sh.torn {
		return errTorn
	}
	defer sh.hunt(ctx, in, what)()
	sh.seq++
	r, err := sh.tell(ctx, sh.dialect.probe(sh.channel.key, sh.seq))
	if err == nil && r.revived {
		err = sh.revive(ctx, r)
	}
	return err
}

// hunt ends again and again what the command has started, until the returned
// function is called: a shell that was about to start something when the signal
// came waits for that first.
func (sh *shell) hunt(ctx context.Context, in runtime.Interrupter, what runtime.Interruption) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	what.Signal = 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := firstPause; ; pause = min(2*pause, lastPause) {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			if in.Interrupt(context.WithoutCancel(ctx), what) != nil {
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// begin notes that a new command begins.
func (sh *shell) begin() {
	sh.kills = sh.oomKills()
	if in, ok := sh.proc.(runtime.Interrupter); ok {
		in.Began()
	}
}

// oomKills counts what the memory limit has killed in the sandbox.
func (sh *shell) oomKills() uint64 {
	if in, ok := sh.proc.(runtime.Interrupter); ok {
		return in.OOMKills()
	}
	return 0
}

// outOfMemory reports whether the memory limit killed something since the
// newest command began.
func (sh *shell) outOfMemory() bool { return sh.oomKills() > sh.kills }

// isBash tells bash under another name: it has a version, and flags that no sh
// has which only inherited the variable.
func isBash(r report) bool { return strings.HasSuffix(r.flags, "@") && strings.Contains(r.flags, "B") }

// rest returns when all that was written until now has reached the sinks.
func (sh *shell) rest() {
	sh.out.rest()
	sh.err.rest()
}

func (sh *shell) attach(sink Sink, fail context.CancelCauseFunc) {
	sh.out.attach(sink, fail)
	sh.err.attach(sink, fail)
}

func (sh *shell) detach() {
	sh.out.detach()
	sh.err.detach()
}

// close ends the shell and all that descends from it.
func (sh *shell) close() {
	if !sh.hasExited() {
		_ = sh.proc.Kill() // it ends, or the sandbox does
		select {
		case <-sh.exited:
		case <-time.After(endPatience):
		}
	}
	sh.channel.conn.Close()
	sh.channel.letGo()
	sh.out.close()
	sh.err.close()
}
