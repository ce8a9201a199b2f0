package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandsAndFlagsAreDocumented holds docs/cli.md to what the program has.
func TestCommandsAndFlagsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	preface, rest, _ := strings.Cut(string(data), "\n## ")
	for section := range strings.SplitSeq(rest, "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	root := (&app{}).rootCommand()
	root.InitDefaultCompletionCmd("x")
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(preface, "`--"+f.Name+"`") {
			t.Errorf("the global flag --%s is not documented", f.Name)
		}
	})
	for _, cmd := range root.Commands() {
		body, ok := sections[cmd.CommandPath()]
		if !ok {
			t.Errorf("%s has no section", cmd.CommandPath())
			continue
		}
		delete(sections, cmd.CommandPath())
		for _, c := range append(cmd.Commands(), cmd) {
			if strings.HasPrefix(c.CommandPath(), "agentfense completion ") {
				continue // cobra's own
			}
			checkDocumented(t, c, body)
		}
	}
	delete(sections, "sandboxd") // test/docs looks at this one
	for title := range sections {
		t.Errorf("the section %q is about no command", title)
	}
}

func checkDocumented(t *testing.T, cmd *cobra.Command, body string) {
	t.Helper()
	if !cmd.HasSubCommands() && !strings.Contains(body, "    "+cmd.CommandPath()) {
		t.Errorf("%s has no usage line", cmd.CommandPath())
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "no-descriptions" {
			return
		}
		long, short := "--"+f.Name, "-"+f.Shorthand
		if !strings.Contains(body, long) && (f.Shorthand == "" || !strings.Contains(body, "`"+short+"`")) {
			t.Errorf("%s %s is not documented", cmd.CommandPath(), long)
		}
	})
}
