package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// app is what all commands share: where they read and write, and the global
// flags.
type app struct {
	stdin          *os.File
	stdout, stderr io.Writer

	endpoint string
	output   string
}

// usageError is a mistake in the arguments.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func isUsage(err error) bool {
	var u *usageError
	return errors.As(err, &u) || strings.HasPrefix(err.Error(), "unknown command")
}

// runsCommand says whether cmd passes on the exit code of a program.
func runsCommand(cmd *cobra.Command) bool {
	return cmd != nil && slices.Contains([]string{"run", "exec", "shell", "attach"}, cmd.Name())
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "agentfense",
		Short: "Run commands in sandboxes that see only what a policy allows",
		Long: `agentfense runs commands in sandboxes that see only what a policy allows.

The daemon is found at --endpoint, else at $` + endpointEnv + `, else at
` + defaultEndpoint + `.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != outputTable && a.output != outputJSON {
				return usagef("unknown output format %q: use %s or %s", a.output, outputTable, outputJSON)
			}
			return nil
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nSee %s --help.", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.endpoint, "endpoint", "", "where the daemon listens, as unix:///path")
	flags.StringVarP(&a.output, "output", "o", outputTable, "format of what is printed: table or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{outputTable, outputJSON}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		a.runCommand(), a.execCommand(), a.shellCommand(),
		a.spawnCommand(), a.attachCommand(), a.processesCommand(), a.killCommand(),
		a.psCommand(), a.startCommand(), a.stopCommand(), a.rmCommand(),
		a.diffCommand(), a.commitCommand(), a.discardCommand(),
		a.forkCommand(), a.snapshotCommand(), a.cpCommand(),
		a.codebaseCommand(), a.policyCommand(),
		a.doctorCommand(), a.infoCommand(), a.versionCommand(),
	)
	return root
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// arguments turns cobra's complaints about the number of arguments into usage
// errors.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w\nUsage: %s", err, cmd.UseLine())
		}
		return nil
	}
}
