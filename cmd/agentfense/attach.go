package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) attachCommand() *cobra.Command {
	var noStdin, verbose bool
	cmd := &cobra.Command{
		Use:   "attach [flags] PROCESS",
		Short: "Attach to a process in the background",
		Long: `Attach to a process in the background: show what it has printed since somebody
last did, and what it prints, and pass standard input on, if it takes any. One
client at a time is attached: a new one takes over.

At a terminal, ctrl-p ctrl-q leaves a process that has one. Signals go to the
process; SIGHUP and a second SIGINT leave it. It goes on without you. The exit
code is the process's.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), args[0], noStdin, verbose)
		},
	}
	cmd.Flags().BoolVar(&noStdin, "no-stdin", false, "pass no standard input on")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say on stderr what was refused")
	return cmd
}

func (a *app) attach(ctx context.Context, id string, noStdin, verbose bool) error {
	sigs := catchSignals()
	defer sigs.stop()
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.processes.GetProcess(ctx, &sandboxv1.GetProcessRequest{ProcessId: id})
	if err != nil {
		return attachError(err, id)
	}
	var stdin *os.File
	if p.GetOpenStdin() && !noStdin {
		stdin = a.stdin
	}
	run := &command{
		open: func(ctx context.Context) (call, error) {
			stream, err := c.processes.Attach(ctx)
			return attachCall{stream, id}, err
		},
		attached: true, signals: sigs.ch, stdin: stdin, stdout: a.stdout, stderr: a.stderr,
	}
	if p.GetPty() && p.GetExit() == nil {
		if run.screen, err = newScreen(a.stdin, false, a.stdout, a.stderr); err != nil {
			return err
		}
		if stdin != nil && run.screen.sized == a.stdin {
			run.screen.keyboard = a.stdin
		}
	}
	exit, err := run.run(ctx)
	if err != nil {
		return attachError(err, id)
	}
	return a.finish(exit, verbose)
}

// attachError says what to do next.
func attachError(err error, id string) error {
	var left *leftError
	switch {
	case errors.As(err, &left):
		return &exitError{code: left.code, err: fmt.Errorf("left %s, which goes on; come back with: agentfense attach %s", id, id)}
	case reasonOf(err) == "TAKEN_OVER":
		return fmt.Errorf("%w; take it back with: agentfense attach %s", err, id)
	case reasonOf(err) == "PROCESS_NOT_FOUND":
		return fmt.Errorf("%w; list those of a sandbox with: agentfense processes ID", err)
	}
	return commandError(err, "")
}
