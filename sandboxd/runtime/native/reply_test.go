package native

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/agentfense/agentfense/sandboxd/cgroup"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/worker"
)

// ungrouped is the group of a sandbox without limits.
type ungrouped struct{ cgroup.Group }

func (ungrouped) OOMKills() (uint64, error) { return 0, nil }

// waiting returns an instance that waits for the answer to call 1, and is set
// up.
func waiting(c func(*Instance) call) *Instance {
	i := &Instance{group: ungrouped{}, ready: make(chan error, 1), done: make(chan struct{}), calls: map[uint32]call{}}
	i.over = true
	i.calls[1] = c(i)
	return i
}

// entries returns a part of a listing that tells of n files.
func entries(n int) *worker.Entries {
	return &worker.Entries{ID: 1, Entries: slices.Repeat([]worker.Entry{{Path: "x"}}, n)}
}

func entry(path string) *worker.Entries {
	return &worker.Entries{ID: 1, Entries: []worker.Entry{{Path: path}}}
}

// TestAnswersThatNobodyWaitsForEndTheSandbox feeds what a worker that was taken
// over may answer: the last message must be an error, which ends the sandbox,
// and nothing may end the daemon.
func TestAnswersThatNobodyWaitsForEndTheSandbox(t *testing.T) {
	asks := func(answer worker.Kind) func(*Instance) call {
		return func(*Instance) call { return newReply(answer) }
	}
	list := func(*Instance) call { return newListReply() }
	result, removed := asks(worker.KindResult), asks(worker.KindRemoved)
	open := func(*Instance) call { return newFileReply() }
	exec := func(i *Instance) call {
		return &Process{instance: i, started: make(chan error, 1), exited: make(chan struct{})}
	}
	end := func(n int) *worker.Entries { e := entries(n); e.Last = true; return e }
	long := &worker.Entries{ID: 1, Entries: []worker.Entry{{Path: strings.Repeat("x", worker.MaxListingBytes), Target: "x"}}}
	for name, tt := range map[string]struct {
		call     func(*Instance) call
		messages []worker.Message
	}{
		"a listing that is too long":               {list, []worker.Message{entries(worker.MaxListing), end(1)}},
		"a listing of too long names":              {list, []worker.Message{long}},
		"a listing of what lies above":             {list, []worker.Message{entry("a/../../b")}},
		"a listing of the host":                    {list, []worker.Message{entry("/etc/passwd")}},
		"a listing of itself":                      {list, []worker.Message{entry(".")}},
		"a listing without names":                  {list, []worker.Message{entry("")}},
		"a listing of two names":                   {list, []worker.Message{entry("a\x00b")}},
		"a listing that goes nowhere":              {list, []worker.Message{entries(0)}},
		"a listing twice":                          {list, []worker.Message{end(1), end(1)}},
		"a result for a listing":                   {list, []worker.Message{entries(1), &worker.Result{ID: 1}}},
		"a result for one that is too long":        {list, []worker.Message{entries(worker.MaxListing), &worker.Result{ID: 1}}},
		"an end of a removal for a listing":        {list, []worker.Message{&worker.Removed{ID: 1}}},
		"an end of a command for a listing":        {list, []worker.Message{&worker.Exited{ID: 1}}},
		"events for a listing":                     {list, []worker.Message{&worker.Events{ID: 1, Last: true}}},
		"a listing for a result":                   {result, []worker.Message{end(0)}},
		"two results":                              {result, []worker.Message{&worker.Result{ID: 1}, &worker.Result{ID: 1, Errno: 2}}},
		"no file":                                  {open, []worker.Message{&worker.Result{ID: 1}}},
		"two ends of a removal":                    {removed, []worker.Message{&worker.Removed{ID: 1}, &worker.Removed{ID: 1}}},
		"a result for a removal":                   {removed, []worker.Message{&worker.Result{ID: 1}}},
		"a listing for a removal":                  {removed, []worker.Message{entries(1)}},
		"an end before the start":                  {exec, []worker.Message{&worker.Exited{ID: 1}}},
		"two starts":                               {exec, []worker.Message{&worker.Started{ID: 1, PID: 2}, &worker.Started{ID: 1, PID: 2}}},
		"a start and none":                         {exec, []worker.Message{&worker.Started{ID: 1, PID: 2}, &worker.Started{ID: 1, Errno: 2}}},
		"two failed starts":                        {exec, []worker.Message{&worker.Started{ID: 1, Errno: 2}, &worker.Started{ID: 1, Errno: 2}}},
		"two ends":                                 {exec, []worker.Message{&worker.Started{ID: 1, PID: 2}, &worker.Exited{ID: 1}, &worker.Exited{ID: 1}}},
		"an interruption that nobody asked for":    {exec, []worker.Message{&worker.Started{ID: 1, PID: 2}, &worker.Interrupted{ID: 1}}},
		"an end of another call":                   {exec, []worker.Message{&worker.Exited{ID: 2}}},
		"a failed set-up when it is over":          {exec, []worker.Message{&worker.Failed{Stage: "mounts", Errno: 2}}},
		"the end of the set-up when it is over":    {exec, []worker.Message{&worker.Ready{}}},
		"what a daemon says":                       {exec, []worker.Message{&worker.Kill{ID: 1}}},
		"an answer to a command as one to a file":  {result, []worker.Message{&worker.Started{ID: 1, PID: 2}}},
		"an answer to a file as one to a command":  {exec, []worker.Message{&worker.Result{ID: 1}}},
		"a listing as an answer to a command":      {exec, []worker.Message{&worker.Started{ID: 1, PID: 2}, end(1)}},
		"events as an answer to a running command": {exec, []worker.Message{&worker.Started{ID: 1, PID: 2}, &worker.Events{ID: 1, Last: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			i := waiting(tt.call)
			for n, m := range tt.messages {
				err := i.dispatch(m, nil)
				if last := n == len(tt.messages)-1; last && err == nil {
					t.Errorf("%T is accepted", m)
				} else if !last && err != nil {
					t.Fatalf("%T: %v", m, err)
				}
			}
			for _, c := range i.calls { // as the end of the sandbox does
				c.abandon()
			}
		})
	}
}

func TestAListingThatNobodyWaitsForHoldsNothing(t *testing.T) {
	r := newReply(worker.KindEntries)
	i := waiting(func(*Instance) call { return r })
	for range 2 {
		if err := i.dispatch(entries(10), nil); err != nil {
			t.Fatal(err)
		}
		r.drop()
	}
	if cap(r.entries) != 0 {
		t.Errorf("%d entries are kept", len(r.entries))
	}
	if err := i.dispatch(entries(worker.MaxListing), nil); err == nil {
		t.Error("what nobody waits for has no end")
	}
}

func TestASilentWorkerIsAskedOnlySoOften(t *testing.T) {
	i := waiting(func(*Instance) call { return newReply(worker.KindResult) })
	for n := range runtime.MaxCalls - 1 {
		i.calls[uint32(n)+2] = newReply(worker.KindResult)
	}
	_, err := i.begin(newReply(worker.KindResult), func(uint32) worker.Message {
		t.Error("one more message is built")
		return &worker.Kill{}
	})
	if !errors.Is(err, runtime.ErrTooManyExecs) {
		t.Errorf("one more call is %v, want %v", err, runtime.ErrTooManyExecs)
	}
}

// TestFilesComeOnlyWithWhatHasThem gives a descriptor, or one too many, with
// every answer.
func TestFilesComeOnlyWithWhatHasThem(t *testing.T) {
	for name, tt := range map[string]struct {
		call    call
		message worker.Message
		files   int
	}{
		"with a result":           {newReply(worker.KindResult), &worker.Result{ID: 1}, 1},
		"with a listing":          {newReply(worker.KindEntries), entries(1), 1},
		"with a removal":          {newReply(worker.KindRemoved), &worker.Removed{ID: 1}, 1},
		"with a file that failed": {newFileReply(), &worker.Result{ID: 1, Errno: 2}, 1},
		"two for one":             {newFileReply(), &worker.Result{ID: 1}, 2},
		"with a start":            {&Process{}, &worker.Started{ID: 1, PID: 2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			i := waiting(func(*Instance) call { return tt.call })
			if err := i.dispatch(tt.message, make([]*os.File, tt.files)); err == nil {
				t.Error("it is accepted")
			}
		})
	}
}

func TestListingsOfTheLargestSize(t *testing.T) {
	r := newListReply()
	i := waiting(func(*Instance) call { return r })
	for n := range 2 {
		e := entries(worker.MaxListing / 2)
		e.Last = n == 1
		if err := i.dispatch(e, nil); err != nil {
			t.Fatal(err)
		}
	}
	<-r.done
	if r.err != nil || len(r.entries) != worker.MaxListing || len(i.calls) != 0 {
		t.Errorf("%d entries, %v, %d calls wait", len(r.entries), r.err, len(i.calls))
	}
}
