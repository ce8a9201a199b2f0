// Command zoo attacks what keeps a sandbox in. It holds many probes, each a way
// out that would work unconfined, and prints one line for each:
//
//	NAME BLOCKED|LEAK|N/A ERRNO detail
//
// BLOCKED names what stopped it: an errno, a signal, "same" where two things
// could not be told apart, "own" where it reached only what is the sandbox's.
// N/A carries the reason. A probe that ends in none of these is BROKEN.
//
// Some probes take a machine down that does not confine them. So zoo refuses to
// start anywhere but inside a sandbox or in a machine that was started to be
// thrown away; see [checkPlace].
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

// world is what a probe may know of where it runs. The fields in the middle are
// things outside the sandbox, told to zoo so that it can try to reach them.
type world struct {
	place  string
	preset string

	hostFile string // a file of the host's; it holds hostMark
	hostName string // the host's name
	victim   int    // a process of the host's, of the same user where it can be
	abstract string // an abstract socket that the host listens on
	socket   string // a unix socket of the host's
	tcp      string // a TCP port of the host's
	shm      int    // key of a System V segment of the host's
	tools    string // a directory of the host's that sandboxes see

	race time.Duration
}

// unconfined says that nothing is expected to stop a probe.
func (w *world) unconfined() bool { return w.place == placeMachine }

// debug says that the sandbox has the seccomp group debug.
func (w *world) debug() bool { return w.preset == "development" || w.preset == "full-access" }

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "zoo:", err)
		code = 2
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	w := &world{}
	flags := flag.NewFlagSet("zoo", flag.ContinueOnError)
	flags.StringVar(&w.place, "in", "", placeSandbox+" or "+placeMachine+": where it is to run; it checks")
	flags.StringVar(&w.preset, "preset", "", "preset of the sandbox")
	flags.StringVar(&w.hostFile, "host-file", "", "file of the host")
	flags.StringVar(&w.hostName, "host-name", "", "name of the host")
	flags.IntVar(&w.victim, "victim", 0, "process of the host")
	flags.StringVar(&w.abstract, "abstract", "", "abstract socket of the host")
	flags.StringVar(&w.socket, "socket", "", "unix socket of the host")
	flags.StringVar(&w.tcp, "tcp", "", "TCP address of the host")
	flags.IntVar(&w.shm, "shm", 0, "key of a System V segment of the host")
	flags.StringVar(&w.tools, "tools", "", "directory of the host that sandboxes see")
	flags.DurationVar(&w.race, "race", 2*time.Second, "how long races are run")
	pattern := flags.String("run", "", "only probes that match")
	one := flags.String("probe", "", "run these, in this process")
	helper := flags.String("helper", "", "what the copy of zoo is to do that a probe started")
	table := flags.String("check", "", "compare the answers with this table of testdata")
	consoles := flags.String("consoles", "", "write a table of what zoo said in machines: KERNEL=FILE,...")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() > 0 { // what follows would be lost: -probe, and with it the end of recursion
		return 2, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *helper != "" {
		return help(*helper)
	}
	if *consoles != "" {
		return 0, tabulate(*consoles)
	}
	if err := checkPlace(w.place); err != nil {
		return 2, fmt.Errorf("refusing to run here: %w", err)
	}
	if *one != "" {
		return perform(w, *one)
	}
	match, err := regexp.Compile(*pattern)
	if err != nil {
		return 2, err
	}
	return visit(w, match, args, *table)
}

// visit runs all probes that match, and compares with a table if one is named.
func visit(w *world, match *regexp.Regexp, args []string, table string) (int, error) {
	if w.unconfined() {
		o, err := machineOutside()
		if err != nil {
			return 2, err
		}
		defer func() { _ = o.close() }()
		args = append(args, o.args()...)
	}
	reports, err := performAll(w, match, args)
	if err != nil || table == "" {
		return 0, err
	}
	want, err := readTable(table)
	if err != nil {
		return 2, err
	}
	differences := want.compare(kernelVersion(), reports, match)
	for _, d := range differences {
		fmt.Println("zoo:", d)
	}
	if len(differences) > 0 {
		return 1, errors.New("the answers are not those of the table")
	}
	return 0, nil
}
