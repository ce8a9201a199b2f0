package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// place is one side of a copy.
type place struct {
	sandbox string // empty: this machine
	path    string
}

// parsePlace reads ID:PATH, or a path of this machine: one that has no colon,
// or that begins with a slash or a dot.
func parsePlace(arg string) place {
	if strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") {
		return place{path: arg}
	}
	id, path, ok := strings.Cut(arg, ":")
	if !ok || id == "" {
		return place{path: arg}
	}
	return place{sandbox: id, path: path}
}

func (a *app) cpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cp SOURCE DESTINATION",
		Short: "Copy files into a running sandbox, or out of it",
		Long: `Copy a file, or a directory with all below it, into a running sandbox or out of
it. One side is a path of this machine, the other ID:PATH, with PATH below
/workspace: "x", "/x" and "/workspace/x" are the same. A path of this machine with
a colon in its name is written ./a:b.

A source goes into a destination that is a directory, or that ends with a slash,
and else becomes it. What is there is replaced, file by file. Permission bits are
kept. Symbolic links, FIFOs and the like are left out and named, and the exit code
is then 1.`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to := parsePlace(args[0]), parsePlace(args[1])
			if (from.sandbox == "") == (to.sandbox == "") {
				return usagef("one of the two must be in a sandbox, as ID:PATH, and the other on this machine")
			}
			return a.withClient(cmd.Context(), func(c *client) error {
				job := &copyJob{client: c, app: a, progress: a.progress()}
				err := job.run(cmd.Context(), from, to)
				job.progress.clear()
				if err != nil {
					return err
				}
				if job.left > 0 {
					return &exitError{code: codeFailed}
				}
				return nil
			})
		},
	}
}

// copyJob is one cp under way.
type copyJob struct {
	client   *client
	app      *app
	progress *progress
	left     int // entries that were left out
}

func (j *copyJob) run(ctx context.Context, from, to place) error {
	if from.sandbox == "" {
		return j.copyIn(ctx, from.path, to)
	}
	return j.copyOut(ctx, from, to.path)
}

// leaveOut names an entry that is no regular file or directory.
func (j *copyJob) leaveOut(name, why string) {
	j.left++
	j.progress.clear()
	j.app.complain(fmt.Errorf("%s is left out: %s", quoteName(name), why))
}
