package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// lossJSON is a protection that is missing.
type lossJSON struct {
	Name        string `json:"name"`
	Consequence string `json:"consequence"`
	Fix         string `json:"fix"`
}

// infoJSON is the output of info.
type infoJSON struct {
	Endpoint  string `json:"endpoint"`
	Version   string `json:"version"`
	Kernel    string `json:"kernel"`
	Sandboxes int32  `json:"sandboxes"`
	// MaxOutputRate is in bytes per second; 0: no limit.
	MaxOutputRate int64      `json:"max_output_rate"`
	Losses        []lossJSON `json:"losses"`
}

func newLosses(losses []*sandboxv1.Loss) []lossJSON {
	out := make([]lossJSON, len(losses))
	for i, l := range losses {
		out[i] = lossJSON{Name: l.GetName(), Consequence: l.GetConsequence(), Fix: l.GetFix()}
	}
	return out
}

// reportLosses says what a sandbox runs without.
func reportLosses(w io.Writer, sb *sandboxv1.Sandbox) {
	for _, l := range sb.GetLosses() {
		how := "without"
		if slices.Contains(sb.GetAcceptedLosses(), l.GetName()) {
			how = "as accepted, without"
		}
		fmt.Fprintf(w, "agentfense: %s %s: %s\n", how, quoteName(l.GetName()), printable(l.GetConsequence()))
	}
}

// outputRate says how much the commands of a sandbox may write.
func outputRate(perSecond int64) string {
	if perSecond == 0 {
		return "no limit"
	}
	return fmt.Sprintf("at most %s/s of a sandbox", size(perSecond))
}

func (a *app) infoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show the daemon's version and what its host cannot protect",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd.Context(), func(c *client) error {
				info, err := c.sandboxes.GetInfo(cmd.Context(), &sandboxv1.GetInfoRequest{})
				if err != nil {
					return err
				}
				endpoint, _ := a.endpointOf()
				out := infoJSON{
					Endpoint: endpoint, Version: info.GetVersion(), Kernel: info.GetKernel(),
					Sandboxes: info.GetSandboxes(), MaxOutputRate: info.GetMaxOutputRate(), Losses: newLosses(info.GetLosses()),
				}
				return a.print(out, func(t *table) {
					t.row("endpoint", quoteName(endpoint))
					t.row("version", quoteName(out.Version))
					t.row("kernel", quoteName(out.Kernel))
					t.row("sandboxes", strconv.Itoa(int(out.Sandboxes)))
					t.row("output", outputRate(out.MaxOutputRate))
					if len(out.Losses) == 0 {
						t.row("losses", "none")
					}
					for _, l := range out.Losses {
						t.row("loss", fmt.Sprintf("%s: %s (%s)", printable(l.Name), printable(l.Consequence), printable(l.Fix)))
					}
				})
			})
		},
	}
}
