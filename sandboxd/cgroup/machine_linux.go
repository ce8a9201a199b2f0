package cgroup

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// procStat measures the machine.
type procStat struct{}

// tick is the unit of /proc/stat: USER_HZ, the same on every machine that Go
// runs on.
const tick = 10 * time.Millisecond

func (procStat) busy() (time.Duration, int, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan()
	// user nice system idle iowait irq softirq steal guest guest_nice, of which
	// the last two are in the first two.
	fields := bytes.Fields(lines.Bytes())
	if len(fields) < 9 {
		return 0, 0, fmt.Errorf("cannot read /proc/stat: %q", lines.Bytes())
	}
	var busy time.Duration
	for _, n := range []int{1, 2, 3, 6, 7} {
		v, err := strconv.ParseInt(string(fields[n]), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("cannot read /proc/stat: %w", err)
		}
		busy += time.Duration(v) * tick
	}
	cpus := 0
	for lines.Scan() && bytes.HasPrefix(lines.Bytes(), []byte("cpu")) {
		cpus++
	}
	return busy, cpus, lines.Err()
}
