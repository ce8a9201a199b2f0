package api

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/pipe"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// chunk is how much output is read and sent at a time.
const chunk = 32 << 10

// reapTimeout is how long a killed command may take to be gone.
const reapTimeout = 5 * time.Second

// job is one command that runs.
type job struct {
	server *Server
	cmd    command // without argv and environment, which may be large
	proc   runtime.Process
	// stdout and stderr are nil where term is not.
	stdout *os.File
	stderr *os.File
	term   runtime.Terminal
	// stdin is nil where the command reads from /dev/null.
	stdin input
	feed  sync.WaitGroup
	// ended is closed when the command has ended, fed when nothing writes to
	// its standard input any more.
	ended, fed chan struct{}
	release    func() // of the owner's count
	grown      func() // no newcomer any more
}

// input is where a command's standard input goes.
type input interface {
	io.WriteCloser
	// giveUp ends writes that wait, and those to come.
	giveUp()
}

// stdinPipe is the standard input of a command without a terminal.
type stdinPipe struct{ *os.File }

func (p stdinPipe) giveUp() { p.File.Close() }

// sink takes output; the bytes are its own until it returns. It is called from
// two goroutines, one for each type.
type sink func(sandboxv1.ExecOutput_OutputType, []byte) error

// begin starts a command with pipes for its standard streams.
func (s *Server) begin(ctx context.Context, cmd command, wantStdin bool) (_ *job, err error) {
	j := &job{server: s, cmd: cmd, ended: make(chan struct{}), fed: make(chan struct{})}
	if j.release, err = s.commands.take(cmd.run.Sandbox().Info().Owner, 1, s.cfg.Limits.Commands); err != nil {
		return nil, err
	}
	j.grown = s.newcomers.arrive()
	spec := cmd.spec
	defer func() {
		closeAll(spec.Stdin, spec.Stdout, spec.Stderr)
		if err != nil {
			closeAll(j.stdout, j.stderr)
			if j.stdin != nil {
				j.stdin.Close()
			}
			j.release()
			j.grown()
		}
	}()
	if spec.Terminal == nil {
		if err := j.pipes(&spec, wantStdin || len(cmd.stdin) > 0); err != nil {
			return nil, err
		}
	}
	bound, cancel := cmd.run.Bind(ctx)
	defer cancel()
	if j.proc, err = cmd.run.Exec(bound, spec); err != nil {
		if bound.Err() != nil {
			err = context.Cause(bound)
		}
		return nil, translate(err, cmd.about()).with(keyCommand, cmd.text)
	}
	j.cmd.spec.Argv, j.cmd.spec.Env = nil, nil
	if spec.Terminal != nil {
		j.term = j.proc.Terminal()
		j.stdin = keyboard{j.term}
	}
	return j, nil
}

// pipes makes the pipes of a command: its ends are in spec, the others in j.
func (j *job) pipes(spec *runtime.Command, wantStdin bool) (err error) {
	if j.stdout, spec.Stdout, err = pipe.New(true); err != nil {
		return err
	}
	if j.stderr, spec.Stderr, err = pipe.New(true); err != nil || !wantStdin {
		return err
	}
	var ours *os.File
	if ours, spec.Stdin, err = pipe.New(false); err == nil {
		j.stdin = stdinPipe{ours}
	}
	return err
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// feedAll writes the request's own standard input and closes it. A command
// that does not read it all is fine.
func (j *job) feedAll() {
	if j.stdin == nil {
		return
	}
	j.feed.Go(func() {
		defer j.stdin.Close()
		_, _ = j.stdin.Write(j.cmd.stdin)
	})
}

// pumps returns what reads the command's output, one function a stream.
func (j *job) pumps(sink sink) []func() error {
	if j.term != nil {
		return []func() error{func() error { return j.pumpTerminal(sink) }}
	}
	return []func() error{
		func() error {
			return j.pump(j.stdout, func(b []byte) error { return sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, b) })
		},
		func() error {
			return j.pump(j.stderr, func(b []byte) error { return sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDERR, b) })
		},
	}
}

// giveUp makes reads and writes that wait give up. What was written already is
// still read.
func (j *job) giveUp() {
	if j.stdin != nil {
		j.stdin.giveUp()
	}
	past := time.Unix(1, 0)
	if j.term != nil {
		_ = j.term.SetReadDeadline(past) // fails only if it is closed
		return
	}
	j.stdout.SetReadDeadline(past)
	j.stderr.SetReadDeadline(past)
}

// run gives output to sink until the command has ended and its output is read,
// and returns how it ended. When ctx ends or sink fails, the whole tree of the
// command is killed. Descendants that outlive the command keep running, and
// what they write is dropped.
func (j *job) run(ctx context.Context, sink sink) (runtime.Status, error) {
	defer j.release()
	defer j.grown()
	sink = j.paced(j.server.newcomers.yielding(j.grown, sink))
	ctx, stop := j.cmd.run.Bind(ctx)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var pumps sync.WaitGroup
	for _, pump := range j.pumps(sink) {
		pumps.Go(func() {
			if err := pump(); err != nil {
				cancel(err)
			}
		})
	}
	status, err := j.wait(ctx)
	close(j.ended)
	j.giveUp()
	pumps.Wait()
	j.feed.Wait()
	if err == nil {
		err = context.Cause(ctx) // nil, unless sink failed at the very end
	}
	return status, err
}

// paced makes output wait for what the sandbox may write. What is left once the
// command has ended waits for nothing.
func (j *job) paced(next sink) sink {
	return func(typ sandboxv1.ExecOutput_OutputType, b []byte) error {
		j.cmd.run.Pass(len(b), j.ended)
		return next(typ, b)
	}
}

// wait waits for the command, and ends it if ctx ends first.
func (j *job) wait(ctx context.Context) (runtime.Status, error) {
	status, err := j.proc.Wait(ctx)
	if err == nil || ctx.Err() == nil {
		return status, err
	}
	if errors.Is(context.Cause(ctx), runtime.ErrEnded) {
		return runtime.Status{}, runtime.ErrEnded
	}
	if kerr := j.proc.Kill(); kerr != nil && !errors.Is(kerr, runtime.ErrEnded) && !errors.Is(kerr, os.ErrProcessDone) {
		j.server.cfg.Log.Error("cannot kill a command", "sandbox", j.cmd.about().sandbox, "error", kerr)
	}
	reap, cancel := context.WithTimeout(context.WithoutCancel(ctx), reapTimeout)
	defer cancel()
	if status, rerr := j.proc.Wait(reap); rerr == nil {
		return status, context.Cause(ctx)
	}
	return runtime.Status{}, context.Cause(ctx)
}

// pump reads one stream to its end, or until its read deadline has passed and
// nothing is left in it. A pipe that background processes hold open is read on
// and dropped, so that writing to it is no error for them.
func (j *job) pump(f *os.File, sink func([]byte) error) error {
	buf := make([]byte, chunk)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if serr := sink(buf[:n]); serr != nil {
				j.leave(f)
				return serr
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			f.SetReadDeadline(time.Time{})
			eof, err := pipe.Rest(f, buf, sink)
			if eof {
				f.Close()
			} else {
				j.leave(f)
			}
			return err
		default:
			f.Close()
			return nil // io.EOF; a pipe has no other
		}
	}
}

// leave reads the rest of a stream to nowhere. Where very many streams are left
// like that, it is closed instead.
func (j *job) leave(f *os.File) {
	uncount, ok := j.cmd.run.Linger()
	if !ok {
		f.Close()
		return
	}
	f.SetReadDeadline(time.Time{})
	ended := j.cmd.run.Done()
	j.server.tasks.Go(func() {
		defer uncount()
		pipe.Discard(f, ended, func(n int) { j.cmd.run.Pass(n, ended) })
	})
}

// timedOut is what a command that ran into its own timeout comes to.
func (c command) timedOut() error {
	return fail(codes.DeadlineExceeded, ReasonCommandTimeout, "the command took longer than %v and was ended", c.spec.Timeout).
		with(keyCommand, c.text).with(keyTimeout, seconds(c.spec.Timeout)).with(keySandbox, c.about().sandbox)
}
