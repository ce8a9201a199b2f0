package main

import (
	"context"
	"fmt"
	"sync/atomic"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// clientCount is how many clients run commands at once, each over a connection
// of its own and in its own sandbox.
const clientCount = 16

// measureClients compares how many commands a second many clients get done with
// what as many callers of bash get done. Turns are short, and many: what else
// the machine does hits both.
func measureClients(ctx context.Context, b *bench) error {
	codebase, dir, err := b.small(ctx)
	if err != nil {
		return err
	}
	clients := make([]*daemon, 0, clientCount)
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	sandboxes := make([]string, clientCount)
	for i := range clientCount {
		c, err := connect(b.socket)
		if err != nil {
			return err
		}
		clients = append(clients, c)
		if sandboxes[i], err = c.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE); err != nil {
			return err
		}
	}
	const runs = 20 * clientCount
	got, err := turns(b.rounds(30),
		func() error {
			return crew(runs, func(i int) error { _, err := clients[i].exec(ctx, sandboxes[i], "true"); return err })
		},
		func() error {
			return crew(runs, func(int) error { _, err := bare(ctx, dir, "true"); return err })
		})
	if err != nil {
		return err
	}
	b.table.rates(fmt.Sprintf("%d clients, exec true", clientCount), runs, got[0], got[1],
		fmt.Sprintf("%d callers of bash -c, fork and exec", clientCount))
	for i, sb := range sandboxes {
		if err := clients[i].destroy(ctx, sb); err != nil {
			return err
		}
	}
	return nil
}

// crew has as many workers as there are clients do total runs together, each
// with its own number, and returns the first error.
func crew(total int, run func(worker int) error) error {
	var done atomic.Int64
	errs := make(chan error, clientCount)
	for i := range clientCount {
		go func() {
			for done.Add(1) <= int64(total) {
				if err := run(i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var first error
	for range clientCount {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
