package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// samples are measurements of one thing.
type samples []time.Duration

func (s samples) percentile(p int) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[(len(sorted)-1)*p/100]
}

// table collects rows and prints them as they align best.
type table struct{ rows [][]string }

func (t *table) section(name string) {
	t.rows = append(t.rows, []string{"", "", "", "", ""}, []string{"# " + name, "ours", "limit", "ratio", "limit is"})
}

// times adds the medians of two things, and their 99th percentiles where there
// are enough samples to have one.
func (t *table) times(what string, ours, limit samples, limitIs string) {
	t.compare(what+" p50", ours.percentile(50), limit.percentile(50), limitIs)
	if len(ours) >= 100 {
		t.compare(what+" p99", ours.percentile(99), limit.percentile(99), limitIs)
	}
}

func (t *table) compare(what string, ours, limit time.Duration, limitIs string) {
	ratio := fmt.Sprintf("%.2f", float64(ours)/float64(limit))
	t.rows = append(t.rows, []string{what, short(ours), short(limit), ratio, limitIs})
}

// rates adds how often a second two things are done, of count in each sample;
// the ratio is that of their times.
func (t *table) rates(what string, count int, ours, limit samples, limitIs string) {
	a, b := ours.percentile(50), limit.percentile(50)
	ratio := fmt.Sprintf("%.2f", float64(a)/float64(b))
	t.rows = append(t.rows, []string{what, rate(count, a), rate(count, b), ratio, limitIs})
}

func rate(count int, took time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(count)/took.Seconds())
}

// fact adds a figure without a limit.
func (t *table) fact(what, value, note string) {
	t.rows = append(t.rows, []string{what, value, "", "", note})
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	_ = tw.Flush()
}

// short keeps three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	default:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
}

func host() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("Linux %s, %d CPUs, load %s at the end", unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), first)
}

// clock times one call.
func clock(f func() error) (time.Duration, error) {
	from := time.Now()
	err := f()
	return time.Since(from), err
}

// turns measures things alternately, n times each, after one round that does
// not count.
func turns(n int, things ...func() error) ([]samples, error) {
	all := make([]samples, len(things))
	for round := range n + 1 {
		for i, f := range things {
			d, err := clock(f)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[i] = append(all[i], d)
			}
		}
	}
	return all, nil
}
