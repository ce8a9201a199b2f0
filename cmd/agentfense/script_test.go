package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agentfense": main})
}

// heedHangUps makes programs that a test starts heed SIGHUP, also where the test
// itself was started to ignore it.
func heedHangUps() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }

// TestScripts runs the program against a fake daemon.
func TestScripts(t *testing.T) {
	heedHangUps()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// The path of a socket is short; a script's directory need not be.
			dir, err := os.MkdirTemp("", "fake")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(dir) })
			socket := filepath.Join(dir, "s")
			fake, err := startFake(socket)
			if err != nil {
				return err
			}
			env.Defer(fake.stop)
			env.Values[fakeKey{}] = fake
			env.Setenv(endpointEnv, "unix://"+socket)
			env.Setenv("SOCKET", socket)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"left":  left,
			"told":  told,
		},
	})
}

type fakeKey struct{}

// exits runs a command and fails unless it exits with the code:
// exits 3 agentfense run -- sh -c 'exit 3'.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// left fails unless the fake daemon has so many codebases and sandboxes.
func left(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: left NUMBER")
	}
	f := ts.Value(fakeKey{}).(*fakeDaemon)
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := fmt.Sprint(len(f.codebases)); got != args[0] {
		ts.Fatalf("%s codebases are left, want %s", got, args[0])
	}
	if got := fmt.Sprint(len(f.sandboxes)); got != args[0] {
		ts.Fatalf("%s sandboxes are left, want %s", got, args[0])
	}
}

// told writes what the fake daemon was last told into files.
func told(ts *testscript.TestScript, _ bool, _ []string) {
	f := ts.Value(fakeKey{}).(*fakeDaemon)
	f.mu.Lock()
	defer f.mu.Unlock()
	text := string(f.ingest.GetDirectory()) + "\n"
	for _, p := range f.ingest.GetOptions().GetIgnorePatterns() {
		text += "ignore " + p + "\n"
	}
	for _, id := range f.kept {
		text += "kept " + id + "\n"
	}
	for _, sb := range f.sandboxes {
		text += protojson.Format(sb) + "\n"
	}
	ts.Check(os.WriteFile(ts.MkAbs("told"), []byte(text), 0o600))
}
