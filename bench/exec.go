package main

import (
	"context"
	"path/filepath"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// small makes a codebase of a few files and says where they lie.
func (b *bench) small(ctx context.Context) (id, dir string, err error) {
	dir = filepath.Join(b.dir, "small")
	if !exists(dir) {
		if err := fill(dir, 20, "small"); err != nil {
			return "", "", err
		}
	}
	id, err = b.ingest(ctx, "", dir)
	return id, dir, err
}

// measureExec compares one command in a running sandbox with the same command
// forked by this process, and with a bubblewrap sandbox made for it.
func measureExec(ctx context.Context, b *bench) error {
	codebase, dir, err := b.small(ctx)
	if err != nil {
		return err
	}
	sb, err := b.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE)
	if err != nil {
		return err
	}
	for _, command := range []string{"true", "/usr/bin/python3 -c pass"} {
		n := b.rounds(1000)
		if command != "true" {
			n = b.rounds(200)
		}
		got, err := turns(n,
			func() error { _, err := b.exec(ctx, sb, command); return err },
			func() error { _, err := bare(ctx, dir, command); return err },
			func() error { return bwrap(ctx, dir, command) })
		if err != nil {
			return err
		}
		b.table.times("exec "+command, got[0], got[1], "bash -c, fork and exec")
		b.table.times("exec "+command, got[0], got[2], "bwrap bash -c")
	}
	return b.destroy(ctx, sb)
}

// measureLifecycle compares a sandbox's whole life with bubblewrap's.
func measureLifecycle(ctx context.Context, b *bench) error {
	codebase, dir, err := b.small(ctx)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		name  string
		level sandboxv1.Permission
	}{{"read-only", sandboxv1.Permission_PERMISSION_READ}, {"writable", sandboxv1.Permission_PERMISSION_WRITE}} {
		if err := b.lives(ctx, codebase, dir, v.name, v.level); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) lives(ctx context.Context, codebase, dir, name string, level sandboxv1.Permission) error {
	// One that stays keeps the view alive, as a second sandbox of an agent would.
	stays, err := b.create(ctx, codebase, level)
	if err != nil {
		return err
	}
	var starts, ends, whole samples
	var sb string
	got, err := turns(b.rounds(200),
		func() error { return bwrap(ctx, dir, "true") },
		func() error {
			start, err := clock(func() (err error) { sb, err = b.create(ctx, codebase, level); return err })
			if err != nil {
				return err
			}
			run, err := clock(func() error { _, err := b.exec(ctx, sb, "true"); return err })
			if err != nil {
				return err
			}
			end, err := clock(func() error { return b.destroy(ctx, sb) })
			starts, ends, whole = append(starts, start), append(ends, end), append(whole, start+run+end)
			return err
		})
	if err != nil {
		return err
	}
	b.table.times(name+": create and start", starts, got[0], "bwrap true, its whole life")
	b.table.times(name+": destroy", ends, got[0], "bwrap true, its whole life")
	b.table.times(name+": create, exec true, destroy", whole, got[0], "bwrap true, its whole life")
	return b.destroy(ctx, stays)
}
