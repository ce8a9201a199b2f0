package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string // of the error; empty: none
	}{
		"none":                      {nil, ""},
		"a mode":                    {[]string{"--listen-mode", "0666"}, ""},
		"a bad mode":                {[]string{"--listen-mode", "rw"}, "--listen-mode"},
		"a mode with setid":         {[]string{"--listen-mode", "4755"}, "--listen-mode"},
		"a level":                   {[]string{"--log-level", "debug"}, ""},
		"a bad level":               {[]string{"--log-level", "loud"}, "--log-level"},
		"fewer sandboxes than none": {[]string{"--max-sandboxes", "-1"}, "--max-sandboxes -1"},
		"no output limit":           {[]string{"--max-output-rate", "0"}, ""},
		"little output":             {[]string{"--max-output-rate", "65536"}, ""},
		"too little output":         {[]string{"--max-output-rate", "65535"}, "at least 65536"},
		"less than none":            {[]string{"--max-output-rate", "-1"}, "at least 65536"},
		"a bad format":              {[]string{"--log-format", "xml"}, "--log-format"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &flags{}
			cmd := f.command()
			if err := cmd.ParseFlags(tt.args); err != nil {
				t.Fatal(err)
			}
			err := f.finish()
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
	f := &flags{}
	if err := f.command().ParseFlags([]string{"--view-idle", "5s", "--uid-base", "100000", "--listen-mode", "0600"}); err != nil {
		t.Fatal(err)
	}
	if err := f.finish(); err != nil {
		t.Fatal(err)
	}
	if o := f.options; o.ViewIdle != 5*time.Second || o.UIDBase != 100000 || o.Mode != os.FileMode(0o600) || o.StateDir != "/var/lib/agentfense" {
		t.Errorf("options are %+v", o)
	}
}
