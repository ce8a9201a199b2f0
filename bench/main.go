// Command bench measures sandboxes beside what limits them: the same work done
// bare on the same machine.
//
//	go run ./bench          every figure, a few minutes
//	go run ./bench -quick   the same code on small input, seconds
//
// It starts a private daemon from bin/ in a directory of its own, so build
// first and run it as root. A figure and its limit are measured in turns in
// one process, so that what else the machine does hits both. Nothing here
// asserts a time: a shared machine would make that a lie.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options is how much to measure.
type options struct {
	quick bool
	bin   string
	tree  string
	only  string
	// keep the daemon's log on the terminal.
	verbose bool
}

// section is one part of the table.
type section struct {
	name    string
	measure func(ctx context.Context, b *bench) error
}

var sections = []section{
	{"exec", measureExec},
	{"session", measureSession},
	{"file", measureFile},
	{"clients", measureClients},
	{"lifecycle", measureLifecycle},
	{"walls", measureWalls},
	{"ingest", measureIngest},
	{"tree", measureTree},
	{"untar", measureUntar},
	{"python", measurePython},
	{"memory", measureMemory},
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "small input, few rounds")
	flag.BoolVar(&o.verbose, "v", false, "show the daemon's log")
	flag.StringVar(&o.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&o.tree, "tree", "/usr/local/go/src", "directory to copy and look at through a view")
	flag.StringVar(&o.only, "only", "", "comma-separated sections: exec session file clients lifecycle walls ingest tree untar python memory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// bench is what the sections share.
type bench struct {
	options
	*daemon
	dir   string // for trees and baselines, on the file system of the daemon's state
	table table
}

func run(ctx context.Context, o options) (err error) {
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot start a daemon: run it as root")
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Sandboxes' uids look at baselines too.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	d, err := startDaemon(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := d.stop(); err == nil {
			err = stopErr
		}
	}()
	b := &bench{options: o, daemon: d, dir: dir}
	from := time.Now()
	for _, s := range sections {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", s.name)
		b.table.section(s.name)
		if err := s.measure(ctx, b); err != nil {
			b.table.print(os.Stdout)
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.table.print(os.Stdout)
	fmt.Printf("\n%s, measured in %v\n", host(), time.Since(from).Round(time.Second))
	return nil
}

// rounds is n, or a tenth of it, but at least two, with -quick.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(2, n/10)
	}
	return n
}
