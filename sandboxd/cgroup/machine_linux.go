package cgroup

import (
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

func (procStat) busy() (busy time.Duration, cpus int, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) == 0 || !bytes.HasPrefix(fields[0], []byte("cpu")):
			return busy, cpus, nil
		case len(fields[0]) > len("cpu"):
			cpus++
			continue
		case len(fields) < 9:
			return 0, 0, fmt.Errorf("cannot read /proc/stat: %q", line)
		}
		// user nice system idle iowait irq softirq steal guest guest_nice, of
		// which the last two are in the first two.
		for _, n := range []int{1, 2, 3, 6, 7} {
			v, err := strconv.ParseInt(string(fields[n]), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("cannot read /proc/stat: %w", err)
			}
			busy += time.Duration(v) * tick
		}
	}
	return busy, cpus, nil
}
