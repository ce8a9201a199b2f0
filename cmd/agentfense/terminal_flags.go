package main

import (
	"os"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// terminalFlags are -i and -t.
type terminalFlags struct{ interactive, tty bool }

func (f *terminalFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.interactive, "interactive", "i", false, "pass standard input on, which is so without -t anyway")
	flags.BoolVarP(&f.tty, "tty", "t", false, "give the command a terminal; with -i it is this one")
}

// apply asks for a terminal, and returns ours and the input to pass on: none
// for -t alone.
func (a *app) apply(f terminalFlags, request *sandboxv1.ExecRequest) (*screen, *os.File, error) {
	if !f.tty {
		return nil, a.stdin, nil
	}
	s, err := newScreen(a.stdin, f.interactive, a.stdout, a.stderr)
	if err != nil {
		return nil, nil, err
	}
	if request.Pty = s.size(); request.Pty == nil {
		request.Pty = &sandboxv1.WindowSize{} // the daemon's usual size
	}
	if _, own := request.GetEnv()["TERM"]; !own && f.interactive && os.Getenv("TERM") != "" {
		if request.Env == nil {
			request.Env = map[string]string{}
		}
		request.Env["TERM"] = os.Getenv("TERM")
	}
	if f.interactive {
		return s, a.stdin, nil
	}
	return s, nil, nil
}
