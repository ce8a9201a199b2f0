package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

// version is set by scripts/build.
var version = "unknown"

// versionJSON is the output of version.
type versionJSON struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v := versionJSON{Version: version, Go: runtime.Version()}
			return a.print(v, func(t *table) { t.row("agentfense " + v.Version + " (" + v.Go + ")") })
		},
	}
}
