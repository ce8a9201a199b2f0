package main

import (
	"embed"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed testdata/*.txt
var tables embed.FS

// table is a reviewed list of answers: a line a probe, a column for each
// circumstance. A cell is what stopped the probe, LEAK, or N/A; the reasons of
// the latter are the rest of the line.
type table struct {
	name    string
	columns []string
	rows    map[string][]string
	reasons map[string]string
}

func readTable(name string) (*table, error) {
	text, err := tables.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		return nil, err
	}
	return parseTable(name, string(text))
}

func parseTable(name, text string) (*table, error) {
	t := &table{name: name, rows: map[string][]string{}, reasons: map[string]string{}}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if t.columns == nil {
			t.columns = f[1:]
			continue
		}
		if len(f) < 1+len(t.columns) {
			return nil, fmt.Errorf("table %s: %q has too few columns", name, f[0])
		}
		cells := f[1 : 1+len(t.columns)]
		t.rows[f[0]] = cells
		if reason := strings.Join(f[1+len(t.columns):], " "); reason != "" {
			t.reasons[f[0]] = reason
		} else if slices.Contains(cells, None) {
			return nil, fmt.Errorf("table %s: %q is %s for no reason", name, f[0], None)
		}
	}
	return t, nil
}

// cell is how an answer stands in a table.
func (a answer) cell() string {
	if a.verdict == Blocked {
		return a.errno
	}
	return a.verdict
}

// compare returns how the answers differ from a column of the table.
func (t *table) compare(column string, got map[string]answer, match *regexp.Regexp) []string {
	at := slices.Index(t.columns, column)
	if at < 0 {
		return []string{fmt.Sprintf("table %s has no column %q", t.name, column)}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		a := got[name]
		row, ok := t.rows[name]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%s in %s: new: %s", name, column, a.line(name)))
		case row[at] != a.cell():
			out = append(out, fmt.Sprintf("%s in %s: want %s, got %s", name, column, row[at], a.line(name)))
		case a.verdict == None && !strings.Contains(t.reasons[name], a.detail):
			out = append(out, fmt.Sprintf("%s in %s: another reason: %s", name, column, a.detail))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		if _, ok := got[name]; !ok && match.MatchString(name) {
			out = append(out, fmt.Sprintf("%s in %s: no such probe answered", name, column))
		}
	}
	return out
}

// tabulate makes a table of consoles of machines, given as KERNEL=FILE,...
func tabulate(consoles string) error {
	var columns []string
	got := map[string]map[string]answer{}
	for part := range strings.SplitSeq(consoles, ",") {
		kernel, file, _ := strings.Cut(part, "=")
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		columns = append(columns, kernel)
		got[kernel] = map[string]answer{}
		for line := range strings.Lines(string(text)) {
			if name, a, ok := parseLine(strings.TrimRight(line, "\r\n")); ok {
				got[kernel][name] = a
			}
		}
	}
	fmt.Print(format(columns, got))
	return nil
}

// kernelVersion is as Debian names its kernels: 6.1, 6.12.
func kernelVersion() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	f := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	return strings.Join(f[:min(2, len(f))], ".")
}

// format writes the answers, given by column, as a table.
func format(columns []string, got map[string]map[string]answer) string {
	names := map[string]bool{}
	for _, column := range got {
		for name := range column {
			names[name] = true
		}
	}
	widths := make([]int, len(columns)+1)
	lines := [][]string{append([]string{"probe"}, columns...)}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line := []string{name}
		var reasons []string
		for _, c := range columns {
			a, ok := got[c][name]
			if !ok {
				a = broken("")
			}
			line = append(line, a.cell())
			if a.verdict == None {
				reasons = append(reasons, a.detail)
			}
		}
		slices.Sort(reasons)
		lines = append(lines, append(line, strings.Join(slices.Compact(reasons), "; ")))
	}
	for _, line := range lines {
		for i := range widths {
			widths[i] = max(widths[i], len(line[i]))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		var row strings.Builder
		for i, cell := range line {
			if i < len(widths) {
				fmt.Fprintf(&row, "%-*s ", widths[i], cell)
			} else {
				row.WriteString(cell)
			}
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	return b.String()
}
