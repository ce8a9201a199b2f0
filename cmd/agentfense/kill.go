package main

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func (a *app) killCommand() *cobra.Command {
	sig := newParsed("signal", parseSignal)
	sig.value = syscall.SIGTERM
	cmd := &cobra.Command{
		Use:   "kill [flags] PROCESS...",
		Short: "Signal processes in the background",
		Long: `Signal processes in the background, SIGTERM if nothing else is said. KILL ends
all that descends from them as well.`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				return a.eachID(args, func(id string) error {
					_, err := c.processes.SignalProcess(cmd.Context(), &sandboxv1.SignalProcessRequest{ProcessId: id, Signal: int32(sig.value)})
					return err
				})
			})
		},
	}
	cmd.Flags().VarP(sig, "signal", "s", "signal to send, as KILL, SIGINT or 9")
	return cmd
}

// parseSignal reads "KILL", "SIGKILL", "kill" or "9".
func parseSignal(s string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= 64 {
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%q is not a signal: write KILL, SIGINT or 9", s)
}
