package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// measureIngest compares reading a directory into the store with copying it,
// and reading it again with one walk that looks at every file. Nothing is
// removed meanwhile: ext4 is slow to make files where many were just removed.
func measureIngest(ctx context.Context, b *bench) error {
	sizes := []int{1000, 10000}
	if b.quick {
		sizes = []int{200}
	}
	for _, n := range sizes {
		if err := b.ingestFiles(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) ingestFiles(ctx context.Context, n int) error {
	var first, again, copied, synced, walked samples
	for round := range b.rounds(3) {
		// Content that the store has never seen.
		dir := filepath.Join(b.dir, fmt.Sprintf("new-%d-%d", n, round))
		if err := fill(dir, n, fmt.Sprint(n, " ", round)); err != nil {
			return err
		}
		var id string
		to := dir + "-copy"
		steps := []struct {
			into *samples
			f    func() error
		}{
			{&first, func() (err error) { id, err = b.ingest(ctx, "", dir); return err }},
			{&copied, func() error { _, err := output(ctx, b.dir, "cp", "-r", dir, to); return err }},
			{&synced, func() error { _, err := output(ctx, b.dir, "sync", "-f", to); return err }},
			{&walked, func() error { _, err := output(ctx, dir, "find", ".", "-printf", "%s %T@\n"); return err }},
			{&again, func() error { _, err := b.ingest(ctx, id, dir); return err }},
			{&walked, func() error { _, err := output(ctx, dir, "find", ".", "-printf", "%s %T@\n"); return err }},
			{&again, func() error { _, err := b.ingest(ctx, id, dir); return err }},
		}
		if err := writeBack(ctx, b.dir); err != nil {
			return err
		}
		for _, s := range steps {
			d, err := clock(s.f)
			if err != nil {
				return err
			}
			*s.into = append(*s.into, d)
		}
	}
	for i := range synced {
		synced[i] += copied[i]
	}
	what := fmt.Sprintf("from_local of %d files", n)
	b.table.times(what+", first", first, copied, "cp -r, nothing on disk yet")
	b.table.times(what+", first", first, synced, "cp -r and syncfs, as durable as ours")
	b.table.times(what+", again", again, walked, "find -printf, one walk with stat")
	return nil
}

// writeBack keeps what was written before from being paid for by the next
// measurement.
func writeBack(ctx context.Context, dir string) error {
	_, err := output(ctx, dir, "sync", "-f", dir)
	return err
}
