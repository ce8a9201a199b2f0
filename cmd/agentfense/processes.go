package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// processJSON is one process in the output of processes and spawn.
type processJSON struct {
	ID        string    `json:"id"`
	SandboxID string    `json:"sandbox_id"`
	PID       int32     `json:"pid"`
	Command   string    `json:"command"`
	Started   *string   `json:"started_at"`
	Pty       bool      `json:"pty"`
	OpenStdin bool      `json:"open_stdin"`
	Exit      *exitJSON `json:"exit"`
}

type exitJSON struct {
	Code      int32   `json:"exit_code"`
	Signal    int32   `json:"signal"`
	Seconds   float64 `json:"seconds"`
	OOMKilled bool    `json:"oom_killed"`
}

func newProcessJSON(p *sandboxv1.Process) processJSON {
	out := processJSON{
		ID: p.GetId(), SandboxID: p.GetSandboxId(), PID: p.GetPid(), Command: p.GetCommand(),
		Started: timeJSON(p.GetStartedAt()), Pty: p.GetPty(), OpenStdin: p.GetOpenStdin(),
	}
	if e := p.GetExit(); e != nil {
		out.Exit = &exitJSON{e.GetExitCode(), e.GetSignal(), e.GetDuration().AsDuration().Seconds(), e.GetOomKilled()}
	}
	return out
}

func (a *app) processesCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "processes ID",
		Short:             "List the processes in the background of a sandbox",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				list, err := c.processes.ListProcesses(cmd.Context(), &sandboxv1.ListProcessesRequest{SandboxId: args[0]})
				if err != nil {
					return err
				}
				out := make([]processJSON, len(list.GetProcesses()))
				for i, p := range list.GetProcesses() {
					out[i] = newProcessJSON(p)
				}
				now := time.Now()
				return a.print(out, func(t *table) {
					t.row("ID", "PID", "STATUS", "AGE", "COMMAND")
					for _, p := range list.GetProcesses() {
						t.row(quoteName(p.GetId()), fmt.Sprint(p.GetPid()), processStatus(p), age(p.GetStartedAt(), now), quoteName(p.GetCommand()))
					}
				})
			})
		},
	}
}

func processStatus(p *sandboxv1.Process) string {
	switch e := p.GetExit(); {
	case e == nil:
		return "running"
	case e.GetSignal() != 0:
		return fmt.Sprintf("signal %d", e.GetSignal())
	default:
		return fmt.Sprintf("exit %d", e.GetExitCode())
	}
}
