package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// walks are what people do to a source tree. Each prints a number that must be
// the same inside and outside.
var walks = []struct{ name, command string }{
	{"find", `find . | wc -c`},
	{"stat", `find . -type f -printf '%s %m %T@\n' | wc -c`},
	{"cat", `find . -type f -print0 | xargs -0 cat | wc -c`},
	{"grep -r", `grep -r 'func main' --exclude-dir=.git . | wc -c`},
	{"git status", `git status --porcelain | wc -c`},
	{"tar", `tar cf - --exclude=.git . | wc -c`},
}

// inside is a shell that can be asked to run a command and say how long it took.
type inside func(ctx context.Context, command string) (string, error)

// timed runs a command in a shell that times it itself, so that the way to the
// shell does not count.
func (in inside) timed(ctx context.Context, command string) (time.Duration, string, error) {
	out, err := in(ctx, `s=${EPOCHREALTIME/[.,]/}; r=$(`+command+`); e=${EPOCHREALTIME/[.,]/}; echo $((e-s)) $r`)
	if err != nil {
		return 0, "", err
	}
	micros, result, _ := strings.Cut(strings.TrimSpace(out), " ")
	n, err := strconv.Atoi(micros)
	return time.Duration(n) * time.Microsecond, result, err
}

func (b *bench) within(sandbox string) inside {
	return func(ctx context.Context, command string) (string, error) { return b.exec(ctx, sandbox, command) }
}

func native(dir string) inside {
	return func(ctx context.Context, command string) (string, error) { return bare(ctx, dir, command) }
}

// measureTree runs walks through views and natively over the same tree.
func measureTree(ctx context.Context, b *bench) error {
	dir, err := b.sourceTree(ctx)
	if err != nil {
		return err
	}
	codebase, err := b.ingest(ctx, "", dir)
	if err != nil {
		return err
	}
	write, read := sandboxv1.Permission_PERMISSION_WRITE, sandboxv1.Permission_PERMISSION_READ
	if err := b.warm(ctx, codebase, dir, "warm, writable", write); err != nil {
		return err
	}
	if err := b.warm(ctx, codebase, dir, "warm, read-only", read); err != nil {
		return err
	}
	if err := b.fresh(ctx, codebase, dir, "new view", b.rounds(5), func() error { return nil }); err != nil {
		return err
	}
	if b.quick {
		return nil
	}
	return b.fresh(ctx, codebase, dir, "cold disk", 3, dropCaches)
}

// sourceTree copies the tree and makes it a git repository.
func (b *bench) sourceTree(ctx context.Context) (string, error) {
	from := b.tree
	if b.quick {
		from = filepath.Join(from, "net")
	}
	dir := filepath.Join(b.dir, "tree")
	if _, err := output(ctx, b.dir, "cp", "-r", from, dir); err != nil {
		return "", err
	}
	_, err := bare(ctx, dir, `git init -q && git config maintenance.auto false && git add -A . &&
		git -c user.name=bench -c user.email=bench@localhost commit -qm tree && git gc -q`)
	return dir, err
}

func (b *bench) warm(ctx context.Context, codebase, dir, how string, level sandboxv1.Permission) error {
	sb, err := b.create(ctx, codebase, level)
	if err != nil {
		return err
	}
	for _, w := range walks {
		if err := b.both(ctx, w.name, how, w.command, b.rounds(10), b.within(sb), native(dir)); err != nil {
			return err
		}
	}
	return b.destroy(ctx, sb)
}

// both measures a command in a sandbox and natively in turns, the first of each
// not counting.
func (b *bench) both(ctx context.Context, name, how, command string, n int, ours, limit inside) error {
	var all [2]samples
	for round := range n + 1 {
		var results [2]string
		for i, in := range []inside{ours, limit} {
			d, result, err := in.timed(ctx, command)
			if err != nil {
				return err
			}
			results[i] = result
			if round > 0 {
				all[i] = append(all[i], d)
			}
		}
		if results[0] != results[1] {
			return fmt.Errorf("%s: %q inside, %q natively", name, results[0], results[1])
		}
	}
	b.table.times(name+" ("+how+")", all[0], all[1], "native, warm")
	return nil
}

// fresh measures each walk as the first in a view that nobody used before.
func (b *bench) fresh(ctx context.Context, codebase, dir, how string, n int, prepare func() error) error {
	for i, w := range walks {
		var ours, limit samples
		for round := range n {
			sb, err := b.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE, fmt.Sprintf("%s-%d-%d", strings.Fields(how)[0], i, round))
			if err != nil {
				return err
			}
			if err := prepare(); err != nil {
				return err
			}
			d, _, err := b.within(sb).timed(ctx, w.command)
			if err != nil {
				return err
			}
			ours = append(ours, d)
			if err := b.destroy(ctx, sb); err != nil {
				return err
			}
			if err := prepare(); err != nil {
				return err
			}
			if d, _, err = native(dir).timed(ctx, w.command); err != nil {
				return err
			}
			limit = append(limit, d)
		}
		b.table.times(w.name+" ("+how+")", ours, limit, "native, "+map[bool]string{true: "cold disk", false: "warm"}[how == "cold disk"])
	}
	return nil
}

func dropCaches() error {
	if _, err := output(context.Background(), "/", "sync"); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// measureUntar compares writing many files into a delta with writing them
// natively on the same file system.
func measureUntar(ctx context.Context, b *bench) error {
	dir := filepath.Join(b.dir, "archive")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	from := b.tree
	if b.quick {
		from = filepath.Join(from, "net")
	}
	if _, err := output(ctx, b.dir, "tar", "cf", filepath.Join(dir, "tree.tar"), "-C", from, "."); err != nil {
		return err
	}
	codebase, err := b.ingest(ctx, "", dir)
	if err != nil {
		return err
	}
	sb, err := b.create(ctx, codebase, sandboxv1.Permission_PERMISSION_WRITE)
	if err != nil {
		return err
	}
	for _, in := range []inside{b.within(sb), native(dir)} {
		if _, err := in(ctx, `mkdir out && tar xf tree.tar -C out`); err != nil {
			return err
		}
	}
	for _, w := range []struct{ name, command string }{
		// Nothing is removed: ext4 is slow to make files where many were just removed.
		{"untar", `d=$(mktemp -d ./XXXX) && tar xf tree.tar -C $d && cd $d && find . | wc -l`},
		{"rewrite every file", `find out -type f -exec sed -i 1d {} + ; find out -type f | wc -l`},
	} {
		if err := b.both(ctx, w.name, "in the delta", w.command, b.rounds(5), b.within(sb), native(dir)); err != nil {
			return err
		}
	}
	return b.destroy(ctx, sb)
}
