package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/host"
)

// doctorPatience is how long a daemon may take to say what it is.
const doctorPatience = 10 * time.Second

// examinedJSON is one check in the output of doctor.
type examinedJSON struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Found string `json:"found"`
	Lost  string `json:"lost,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

// doctorJSON is the output of doctor.
type doctorJSON struct {
	// Runs says that a sandbox can run.
	Runs   bool           `json:"sandboxes_run"`
	Checks []examinedJSON `json:"checks"`
}

func (a *app) doctorCommand() *cobra.Command {
	q := host.Query{}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what this host can protect, and say how to mend what it cannot",
		Long: `Check what this host can protect, with and without a daemon.

Each check is ok, degraded (sandboxes run, something that they may ask for is
lost) or missing (no sandbox runs, or only one that accepts the loss by name). The
exit code is 0 if a sandbox can run, else 1.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.examine(cmd.Context(), q)
		},
	}
	cmd.Flags().StringVar(&q.StateDir, "state-dir", host.DefaultStateDir, "the daemon's state directory")
	cmd.Flags().Uint32Var(&q.UIDBase, "uid-base", host.DefaultUIDBase, "the first of the daemon's uids")
	return cmd
}

func (a *app) examine(ctx context.Context, q host.Query) error {
	daemon, answers := a.checkDaemon(ctx)
	q.Programs = map[string]string{}
	if !answers { // else they are where it found them
		q.Programs = programs()
	}
	checks := append(host.Look(q), daemon)
	out := doctorJSON{Runs: host.Runs(checks)}
	for _, c := range checks {
		out.Checks = append(out.Checks, examinedJSON{c.Name, string(c.State), c.Found, c.Lost, c.Fix})
	}
	err := a.print(out, func(t *table) {
		for _, c := range out.Checks {
			t.row(c.Name, c.State, printable(c.Found))
			if c.Lost != "" {
				t.row("", "", "lost: "+printable(c.Lost))
			}
			if c.Fix != "" {
				t.row("", "", "fix: "+printable(c.Fix))
			}
		}
	})
	if err == nil && !out.Runs {
		err = &exitError{code: codeFailed}
	}
	return err
}

// checkDaemon looks for a daemon, and tells whether one answers.
func (a *app) checkDaemon(ctx context.Context) (c host.Check, answers bool) {
	endpoint, explicit := a.endpointOf()
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	info, err := a.askDaemon(ctx)
	if err == nil {
		found := fmt.Sprintf("%s at %s", info.GetVersion(), endpoint)
		if lost := info.GetLosses(); len(lost) > 0 {
			var names []string
			for _, l := range lost {
				names = append(names, l.GetName())
			}
			found += ", without " + strings.Join(names, ", ")
		}
		return host.Check{Name: "daemon", State: host.Ok, Found: found}, true
	}
	c = host.Check{Name: "daemon", State: host.Missing, Found: message(err), Lost: "no sandbox can be made", Fix: "start it as root: " + daemonCommand()}
	if none, is := errors.AsType[*noDaemonError](err); is {
		c.Found = fmt.Sprintf("none at %s: %v", endpoint, errnoOf(none.err))
		if errors.Is(err, os.ErrPermission) {
			c.Fix = "ask an administrator to let you in: sandboxd --group or --listen-mode"
		}
		if !explicit && os.Geteuid() == 0 {
			c.State, c.Lost = host.Degraded, "run starts a daemon of its own each time; nothing can be kept"
		}
	}
	return c, false
}

func (a *app) askDaemon(ctx context.Context) (*sandboxv1.Info, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.sandboxes.GetInfo(ctx, &sandboxv1.GetInfoRequest{})
}

// programs are the daemon's, beside it as it looks for them itself.
func programs() map[string]string {
	found := map[string]string{daemonName: "", "agentfense-view": "", "agentfense-worker": ""}
	daemon, err := findDaemon()
	if err != nil {
		return found
	}
	found[daemonName] = daemon
	dir := filepath.Dir(daemon)
	for _, name := range []string{"agentfense-view", "agentfense-worker"} {
		for _, at := range []string{dir, filepath.Join(dir, "../libexec"), filepath.Join(dir, "../libexec/agentfense")} {
			if path, err := exec.LookPath(filepath.Join(at, name)); err == nil {
				found[name] = path
				break
			}
		}
	}
	return found
}
