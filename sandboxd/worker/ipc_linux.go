package worker

import (
	"fmt"
	"os"
)

// boundIPC writes to the settings of the worker's own IPC namespace, in dir, so
// that objects of System V, which outlive their makers, take three sixteenths
// of the memory limit at most: killing processes would not bring it back.
func boundIPC(dir string, memory int64) error {
	const (
		semaphore = 128     // bytes of one
		queue     = 1 << 20 // of one full of empty messages
		perCall   = "500"
		most      = 32000
	)
	segments := memory / 8 / int64(os.Getpagesize())
	rest := memory / 32
	for _, setting := range []struct{ name, value string }{
		{"shmall", fmt.Sprint(segments)},
		{"msgmni", fmt.Sprint(min(max(rest/queue, 1), most))},
		{"sem", fmt.Sprintf("%d %d %s %d", most, min(rest/semaphore, most*most), perCall, min(rest/semaphore, most))},
	} {
		if err := os.WriteFile(dir+setting.name, []byte(setting.value), 0); err != nil {
			return failed(StageMounts, "/proc/sys/kernel/"+setting.name, err)
		}
	}
	return nil
}
