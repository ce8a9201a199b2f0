package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRuntime starts instances that do nothing.
type fakeRuntime struct {
	mu    sync.Mutex
	live  map[string]*fakeInstance
	twice []string // ids that had two instances at once

	delay time.Duration // of Start and Close
	fail  error         // what Start returns
}

func (r *fakeRuntime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	select {
	case <-time.After(r.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	if r.live[spec.ID] != nil {
		r.twice = append(r.twice, spec.ID)
	}
	i := &fakeInstance{r: r, spec: spec, done: make(chan struct{}), command: make(chan struct{})}
	r.live[spec.ID] = i
	return i, nil
}

func (r *fakeRuntime) Close() error { return nil }

func (r *fakeRuntime) setFail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func (r *fakeRuntime) instance(id string) *fakeInstance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[id]
}

func (r *fakeRuntime) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live)
}

type fakeInstance struct {
	runtime.Instance // what tests do not call
	r                *fakeRuntime
	spec             runtime.Spec
	once             sync.Once
	done             chan struct{}
	reason           error
	bash             bool
	command          chan struct{} // closed when what Exec started ends
}

// fakeProcess runs until its instance says that it ended, or ends.
type fakeProcess struct {
	runtime.Process
	i *fakeInstance
}

func (i *fakeInstance) Exec(context.Context, runtime.Command) (runtime.Process, error) {
	return fakeProcess{i: i}, nil
}

func (i *fakeInstance) finish() { close(i.command) }

func (p fakeProcess) Wait(context.Context) (runtime.Status, error) {
	select {
	case <-p.i.command:
	case <-p.i.done:
	}
	return runtime.Status{}, nil
}

func (i *fakeInstance) end(reason error) {
	i.once.Do(func() {
		i.r.mu.Lock()
		defer i.r.mu.Unlock()
		delete(i.r.live, i.spec.ID)
		i.reason = reason
		close(i.done)
	})
}

func (i *fakeInstance) Done() <-chan struct{} { return i.done }
func (i *fakeInstance) Reason() error         { return i.reason }

func (i *fakeInstance) Close(ctx context.Context) error {
	select {
	case <-time.After(i.r.delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	i.end(nil)
	return nil
}

func (i *fakeInstance) Open(context.Context, string, int, uint32) (*os.File, error) {
	if i.bash {
		return os.Open(os.DevNull)
	}
	return nil, os.ErrNotExist
}

// fakeViews counts the views that are held.
type fakeViews struct {
	mu   sync.Mutex
	held map[*fakeView]bool
	fail error
}

type fakeView struct {
	views *fakeViews
	done  chan struct{}
}

func (v *fakeViews) Acquire(context.Context, tree.Digest, *policy.Policy, uint32) (View, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return nil, v.fail
	}
	f := &fakeView{v, make(chan struct{})}
	v.held[f] = true
	return f, nil
}

func (v *fakeViews) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.held)
}

// die ends every view, as a crash of its server would.
func (v *fakeViews) die() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for f := range v.held {
		close(f.done)
	}
}

func (f *fakeView) Path() string          { return "/nowhere" }
func (f *fakeView) Done() <-chan struct{} { return f.done }
func (f *fakeView) Release() {
	f.views.mu.Lock()
	defer f.views.mu.Unlock()
	delete(f.views.held, f)
}

// ownUID makes sandboxes run as the test does, so that it need not be root.
type ownUID struct{ *store.Store }

func (ownUID) SandboxUID(uint32) (uint32, error) { return uint32(os.Getuid()), nil }

// fixture is a registry over a real store, with fakes below.
type fixture struct {
	*testing.T
	*Registry
	dir      string
	store    *store.Store
	runtime  *fakeRuntime
	views    *fakeViews
	codebase string
	limit    int
	rate     int64 // of output
	losses   []host.Loss
}

func newFixture(t *testing.T, change ...func(*fixture)) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir()}
	var err error
	if f.store, err = store.Open(f.dir+"/store", store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	cb, err := f.store.CreateCodebase(store.Creation{Owner: 1, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	f.codebase = cb.ID
	for path, content := range map[string]string{"a": "a", "src/b": "b", "src/deep/c": "c"} {
		f.put(path, content)
	}
	for _, c := range change {
		c(f)
	}
	f.open()
	t.Cleanup(f.close)
	return f
}

// open opens the registry, with fresh fakes.
func (f *fixture) open() {
	f.Helper()
	f.runtime = &fakeRuntime{live: map[string]*fakeInstance{}}
	f.views = &fakeViews{held: map[*fakeView]bool{}}
	var err error
	f.Registry, err = Open(Config{
		Dir: f.dir, Store: ownUID{f.store}, Codebases: f.store, Views: f.views, Runtime: f.runtime,
		MaxPerOwner: f.limit, OutputRate: f.rate, Losses: f.losses, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
}

// close closes the registry and checks that nothing is left.
func (f *fixture) close() {
	f.Helper()
	if err := f.Registry.Close(); err != nil {
		f.Error(err)
	}
	if n := f.runtime.count(); n != 0 {
		f.Errorf("%d instances are left", n)
	}
	if n := f.views.count(); n != 0 {
		f.Errorf("%d views are still held", n)
	}
	if len(f.runtime.twice) > 0 {
		f.Errorf("two instances at once of %v", f.runtime.twice)
	}
}

// crash abandons the registry without a word to its records.
func (f *fixture) crash() {
	f.Helper()
	saved := map[string][]byte{}
	for _, s := range f.all() {
		path := f.dir + "/sandboxes/" + s.Info().ID + "/" + recordName
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		saved[path] = data
	}
	f.close()
	for path, data := range saved {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			f.Fatal(err)
		}
	}
}

func (f *fixture) put(path, content string) {
	f.Helper()
	if _, err := f.store.PutFile(f.codebase, path, 0, strings.NewReader(content)); err != nil {
		f.Fatal(err)
	}
}

func writing() []policy.Rule {
	return []policy.Rule{
		{Pattern: "**/*", Level: policy.Read},
		{Pattern: "/output/**", Level: policy.Write},
		{Pattern: "/src/deep/new/**", Level: policy.Write},
	}
}

func (f *fixture) create(change ...func(*Params)) *Sandbox {
	f.Helper()
	p := Params{CodebaseID: f.codebase, Owner: 1, Rules: writing(), Mode: Manual}
	for _, c := range change {
		c(&p)
	}
	s, err := f.Create(context.Background(), p)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func (f *fixture) started(change ...func(*Params)) *Sandbox {
	f.Helper()
	s := f.create(change...)
	if err := s.Start(context.Background()); err != nil {
		f.Fatal(err)
	}
	return s
}

func wantStatus(t *testing.T, s *Sandbox, want Status) {
	t.Helper()
	if got := s.Info().Status; got != want {
		t.Errorf("status is %v (%s), want %v", got, s.Info().Reason, want)
	}
}

func wantState(t *testing.T, err error, want Status) {
	t.Helper()
	var state *StateError
	if !errors.As(err, &state) || state.Status != want {
		t.Errorf("error is %v, want a StateError with %v", err, want)
	}
}

// eventually waits for what other goroutines are about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
