package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const (
	// createTimeout bounds calls that make something: they are not cancelled,
	// so that we always know what there is to remove.
	createTimeout = time.Minute
	// cleanupTimeout bounds the removal of what a run made.
	cleanupTimeout = 30 * time.Second
	// abandoned is after how long without use what a run made goes if the run was
	// killed.
	abandoned = 10 * time.Minute
	// daemonLag is how much later than its connections a process ends.
	daemonLag = time.Second
)

// runFlags are the flags of `agentfense run`.
type runFlags struct {
	ruleFlags
	programFlags
	terminalFlags
	memory  *parsed[int64]
	cpus    *parsed[int64]
	disk    *parsed[int64]
	output  *parsed[int64]
	expires *parsed[time.Duration]
	idle    *parsed[time.Duration]
	pids    int64
	keep    bool
	dir     string
	ignore  []string
	verbose bool
	accept  []string
	strict  bool
	labels  []string
}

func (a *app) runCommand() *cobra.Command {
	f := &runFlags{
		memory:  newParsed("size", parseBytes),
		cpus:    newParsed("number", parseCPUs),
		disk:    newParsed("size", parseBytes),
		output:  newParsed("size", parseBytes),
		expires: newParsed("duration", parseDuration),
		idle:    newParsed("duration", parseDuration),
	}
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a new sandbox over a copy of a directory",
		Long: `Run a command in a new sandbox over a copy of a directory, then remove the
sandbox. What the command changes stays in the sandbox.

The exit code is the command's; 128+n if signal n ended it; 124 if it ran into
--timeout; 125 if agentfense failed; 126 if the command cannot be executed; 127
if it was not found.

With no daemon at the default endpoint, root gets a private one for this run.`,
		Example: `  agentfense run -- ls -la
  agentfense run --preset agent-safe --rule '/docs/**=none' -- python3 agent.py
  agentfense run --preset development --timeout 5m --memory 2G -- make test`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runNew(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	f.ruleFlags.register(cmd)
	f.programFlags.register(cmd)
	f.terminalFlags.register(cmd)
	flags.Var(f.memory, "memory", "most memory the sandbox may use, as 512M or 2G")
	flags.Var(f.cpus, "cpus", "most CPU time the sandbox may use, as a number of CPUs: 1.5")
	flags.Var(f.disk, "disk", "most room that the sandbox's changes may take, as 512M or 2G")
	flags.Var(f.output, "output-rate", "most bytes per second that the sandbox's commands may write, as 512K or 16M")
	flags.Int64Var(&f.pids, "pids", 0, "most processes and threads the sandbox may have")
	flags.BoolVar(&f.keep, "keep", false, "keep the sandbox and the codebase, and print the sandbox's id to stderr")
	flags.Var(f.expires, "expires-in", "with --keep: destroy the sandbox after this long")
	flags.Var(f.idle, "idle-timeout", "with --keep: destroy the sandbox once nothing has run in it for this long")
	flags.StringArrayVar(&f.labels, "label", nil, "label of the sandbox, as KEY=value; may be repeated")
	flags.StringVar(&f.dir, "dir", ".", "directory that the sandbox gets a copy of")
	flags.StringArrayVar(&f.ignore, "ignore", nil, "leave out what matches, in gitignore's syntax; may be repeated")
	flags.StringArrayVar(&f.accept, "accept-loss", nil, "start although the host lacks this protection, by its name; may be repeated")
	flags.BoolVar(&f.strict, "strict", false, "do not start if the host lacks any protection that is not accepted")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say on stderr what was left out and what was refused")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// newRun is one `agentfense run`: what it made and has to remove.
type newRun struct {
	app    *app
	flags  *runFlags
	labels map[string]string
	client *client
	daemon *privateDaemon

	codebase string
	sandbox  string
}

func (a *app) runNew(ctx context.Context, f *runFlags, argv []string) (err error) {
	rules, _, err := f.rules()
	if err != nil {
		return err
	}
	start, err := f.request(argv)
	if err != nil {
		return err
	}
	if f.pids < 0 {
		return usagef("--pids must not be negative")
	}
	if !f.keep && (f.expires.value != 0 || f.idle.value != 0) {
		return usagef("--expires-in and --idle-timeout are for a sandbox that stays: add --keep")
	}
	labels, err := parsePairs(f.labels)
	if err != nil {
		return usagef("--label: %v", err)
	}
	dir, err := resolveDir(f.dir)
	if err != nil {
		return err
	}
	screen, stdin, err := a.apply(f.terminalFlags, start)
	if err != nil {
		return err
	}
	sigs := catchSignals()
	defer sigs.stop()
	r := &newRun{app: a, flags: f, labels: labels}
	defer func() {
		if cerr := r.cleanup(); cerr != nil {
			a.complain(cerr)
			if err == nil {
				err = &exitError{code: codeOurs}
			}
		}
	}()
	err = sigs.during(ctx, func(ctx context.Context) error {
		if err := r.connect(ctx); err != nil {
			return err
		}
		return r.prepare(ctx, dir, wireRules(rules))
	})
	if err != nil {
		return r.explain(err)
	}
	start.SandboxId = r.sandbox
	c := &command{
		open: executing(r.client, start), signals: sigs.ch, screen: screen,
		stdin: stdin, stdout: a.stdout, stderr: a.stderr,
	}
	exit, err := c.run(ctx)
	if err != nil {
		return r.explain(err)
	}
	r.hint(exit)
	return a.finish(exit, f.verbose)
}

// hint tells a person that the policy may be why the command failed.
func (r *newRun) hint(exit *sandboxv1.ExecExit) {
	if len(exit.GetDenials()) == 0 || exit.GetExitCode() == 0 || r.flags.verbose || r.app.progress() == nil {
		return
	}
	fmt.Fprintf(r.app.stderr, "agentfense: the policy (preset %s) refused operations; -v says which, --preset and --rule allow more\n", quoteName(r.flags.preset))
}

// connect finds the daemon, or starts one.
func (r *newRun) connect(ctx context.Context) error {
	endpoint, explicit := r.app.endpointOf()
	c, err := dial(ctx, endpoint)
	var none *noDaemonError
	switch {
	case err == nil:
		r.client = c
		return nil
	case !errors.As(err, &none) || explicit || os.Geteuid() != 0:
		return err
	case r.flags.keep:
		return fmt.Errorf("--keep needs a daemon that stays: %w", err)
	}
	r.daemon, r.client, err = startPrivate(ctx)
	return err
}

// prepare makes the codebase and the sandbox.
func (r *newRun) prepare(ctx context.Context, dir *directory, rules []*sandboxv1.PermissionRule) error {
	if err := r.createCodebase(ctx, dir); err != nil {
		return fmt.Errorf("cannot create a codebase: %w", err)
	}
	result, err := dir.ingest(ctx, r.client.codebases, r.codebase, &sandboxv1.IngestOptions{
		Permissions: rules, IgnorePatterns: r.flags.ignore,
	}, r.app.progress())
	if err != nil {
		return err
	}
	if r.flags.verbose {
		reportIngest(r.app.stderr, result)
	}
	if err := r.createSandbox(ctx, rules); err != nil {
		return fmt.Errorf("cannot create a sandbox: %w", err)
	}
	return nil
}

func (r *newRun) createCodebase(ctx context.Context, dir *directory) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	cb, err := r.client.codebases.CreateCodebase(ctx, &sandboxv1.CreateCodebaseRequest{
		Name: dir.codebaseName(), IdleTimeout: durationpb.New(abandoned),
	})
	if err != nil {
		return err
	}
	r.codebase = cb.GetId()
	return nil
}

func (r *newRun) createSandbox(ctx context.Context, rules []*sandboxv1.PermissionRule) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	req := &sandboxv1.CreateSandboxRequest{
		CodebaseId:  r.codebase,
		Permissions: rules,
		Labels:      r.labels,
		Resources: &sandboxv1.ResourceLimits{
			MemoryBytes: r.flags.memory.value,
			CpuQuota:    r.flags.cpus.value,
			PidsLimit:   r.flags.pids,
			DiskBytes:   r.flags.disk.value,
			OutputRate:  r.flags.output.value,
		},
		CommitMode:   sandboxv1.CommitMode_COMMIT_MODE_MANUAL,
		Start:        true,
		AcceptLosses: r.flags.accept,
		Strict:       r.flags.strict,
	}
	if d := r.flags.expires.value; d > 0 {
		req.ExpiresIn = durationpb.New(d)
	}
	if d := r.flags.idle.value; d > 0 {
		req.IdleTimeout = durationpb.New(d)
	} else if !r.flags.keep {
		req.IdleTimeout = durationpb.New(abandoned)
	}
	sb, err := r.client.sandboxes.CreateSandbox(ctx, req)
	if err != nil {
		return err
	}
	r.sandbox = sb.GetId()
	if r.flags.verbose {
		reportLosses(r.app.stderr, sb)
	}
	return nil
}

// cleanup removes what the run made, or prints the id with --keep.
func (r *newRun) cleanup() error {
	if r.client != nil {
		defer r.client.Close()
	}
	if r.daemon != nil {
		// Its state goes with it.
		return r.daemon.stop()
	}
	if r.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if r.flags.keep && r.sandbox != "" {
		fmt.Fprintln(r.app.stderr, r.sandbox)
		_, err := r.client.codebases.KeepCodebase(ctx, &sandboxv1.KeepCodebaseRequest{CodebaseId: r.codebase})
		return err
	}
	return removeRun(ctx, r.client, r.codebase, r.sandbox)
}

// explain adds what a person needs to know to a failure of the run.
func (r *newRun) explain(err error) error {
	if sig, ok := errors.AsType[*signalError](err); ok {
		return &exitError{code: codeSignalBase + int(sig.signal)}
	}
	if r.daemon != nil && hasCode(err, codes.Unavailable) && r.daemon.gone(daemonLag) {
		return fmt.Errorf("%w\n%w", err, r.daemon.failure("ended"))
	}
	return commandError(err, r.flags.timeout.text)
}

// programFlags are the flags that run and exec share.
type programFlags struct {
	env     []string
	timeout *parsed[time.Duration]
	workdir string
}

func (f *programFlags) register(cmd *cobra.Command) {
	f.timeout = newParsed("duration", parseDuration)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.env, "env", nil, "set a variable, as KEY=value; may be repeated")
	flags.Var(f.timeout, "timeout", "end the command and all its children after this long, as 90s or 5m")
	flags.StringVar(&f.workdir, "workdir", "", "directory to run in; relative to /workspace")
}

func (f *programFlags) request(argv []string) (*sandboxv1.ExecRequest, error) {
	env, err := parsePairs(f.env)
	if err != nil {
		return nil, usagef("--env: %w", err)
	}
	if !utf8.ValidString(f.workdir) {
		return nil, usagef("--workdir %q is not UTF-8", f.workdir)
	}
	req := &sandboxv1.ExecRequest{Env: env, Workdir: f.workdir}
	for _, arg := range argv {
		req.Argv = append(req.Argv, []byte(arg))
	}
	if f.timeout.value > 0 {
		req.Timeout = durationpb.New(f.timeout.value)
	}
	return req, nil
}
