// Command sandboxd is the daemon that runs sandboxes.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/sandboxd/daemon"
	"github.com/agentfense/agentfense/sandboxd/host"
)

// version is set by the build.
var version = "unknown"

// The main goroutine stays on the main thread until Isolate is done with it.
func init() { runtime.LockOSThread() }

func main() {
	if err := new(flags).command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "sandboxd:", err)
		os.Exit(1)
	}
}

// flags are what becomes Options only after a look.
type flags struct {
	options   daemon.Options
	mode      string
	logLevel  string
	logFormat string
}

func (f *flags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "sandboxd",
		Short:         "Run sandboxes for untrusted code",
		Long:          "Run sandboxes for untrusted code. Needs root; clients connect to a unix socket.",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return f.run() },
	}
	o, fl := &f.options, cmd.Flags()
	fl.StringVar(&o.StateDir, "state-dir", host.DefaultStateDir, "directory of all that lasts")
	fl.StringVar(&o.RunDir, "run-dir", "/run/agentfense", "directory of sockets and mount points")
	fl.StringVar(&o.Listen, "listen", "", "socket, as unix:///path (default api.sock in the run directory)")
	fl.StringVar(&f.mode, "listen-mode", "0660", "permission bits of the socket; 0666 lets every user in")
	fl.StringVar(&o.Group, "group", "", "group of the socket, by name or number (default root's)")
	fl.StringVar(&o.AdminGroup, "admin-group", "", "group that may use everybody's sandboxes (default root only)")
	fl.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fl.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fl.DurationVar(&o.ViewIdle, "view-idle", time.Minute, "how long an unused view stays mounted")
	fl.Uint32Var(&o.UIDBase, "uid-base", host.DefaultUIDBase, "first of 1048576 uids for views and sandboxes that nothing else may use")
	fl.StringSliceVar(&o.Toolchains, "toolchain", nil, "directory of the host that every sandbox sees, read-only (may be repeated)")
	fl.IntVar(&o.MaxSandboxes, "max-sandboxes", 4096, "most sandboxes of one user; 0 is no limit")
	fl.Int64Var(&o.MaxOutputRate, "max-output-rate", daemon.DefaultOutputRate, "most bytes per second that the commands of one sandbox may write; 0 is no limit")
	return cmd
}

func (f *flags) run() error {
	if err := f.finish(); err != nil {
		return err
	}
	if err := daemon.CheckRights(); err != nil {
		return err
	}
	if err := daemon.Isolate(); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	unix.Umask(0o022)
	if n := daemon.RaiseFiles(); n < 1<<16 {
		f.options.Log.Warn("the limit on open files is low: each running sandbox takes several", "limit", n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	return daemon.Run(ctx, f.options)
}

// finish turns the flags that are text into what they mean.
func (f *flags) finish() error {
	mode, err := strconv.ParseUint(f.mode, 8, 32)
	if err != nil || mode&^0o777 != 0 {
		return fmt.Errorf("cannot use --listen-mode %q: want octal permission bits", f.mode)
	}
	f.options.Mode = os.FileMode(mode)
	f.options.Version = version
	if n := f.options.MaxSandboxes; n < 0 {
		return fmt.Errorf("cannot use --max-sandboxes %d: want a number, or 0 for no limit", n)
	}
	if n := f.options.MaxOutputRate; n != 0 && n < daemon.MinOutputRate {
		return fmt.Errorf("cannot use --max-output-rate %d: want at least %d bytes per second, or 0 for no limit", n, daemon.MinOutputRate)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("cannot use --log-level %q: want debug, info, warn or error", f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text":
		f.options.Log = slog.New(slog.NewTextHandler(os.Stderr, options))
	case "json":
		f.options.Log = slog.New(slog.NewJSONHandler(os.Stderr, options))
	default:
		return errors.New("cannot use --log-format " + strconv.Quote(f.logFormat) + ": want text or json")
	}
	return nil
}
