package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// parallel is how many sandboxes are made or destroyed at once.
const parallel = 8

// measureMemory starts many sandboxes of one codebase and says what each takes.
func measureMemory(ctx context.Context, b *bench) error {
	codebase, _, err := b.small(ctx)
	if err != nil {
		return err
	}
	counts := []int{100, 1000}
	if b.quick {
		counts = []int{20}
	}
	for _, n := range counts {
		if err := b.crowd(ctx, codebase, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) crowd(ctx context.Context, codebase string, n int) error {
	before, err := available()
	if err != nil {
		return err
	}
	ids := make([]string, n)
	started, err := clock(func() error {
		return each(n, func(i int) (err error) {
			ids[i], err = b.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE)
			return err
		})
	})
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	after, err := available()
	if err != nil {
		return err
	}
	ended, err := clock(func() error {
		return each(n, func(i int) error { return b.destroy(ctx, ids[i]) })
	})
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%d sandboxes of one codebase", n)
	b.table.fact("memory a sandbox", fmt.Sprintf("%.2f MiB", float64(before-after)/1024/float64(n)), note+", MemAvailable before and after")
	b.table.fact("create and start all", short(started), fmt.Sprintf("%s, %d at a time", note, parallel))
	b.table.fact("destroy all", short(ended), note)
	return nil
}

// each runs f for 0 to n-1, some at a time, and returns the first error.
func each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := make(chan int)
	for range parallel {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// available is MemAvailable in KiB.
func available() (int, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), "MemAvailable:")
	var kib int
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}
