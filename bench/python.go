package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed python.py
var pythonScript string

// measurePython measures the SDK's calls in a Python of its own, beside
// subprocess.run in the same process.
func measurePython(ctx context.Context, b *bench) error {
	python, err := filepath.Abs(filepath.Join(b.bin, "venv/bin/python"))
	if err != nil {
		return err
	}
	if !exists(python) {
		b.table.fact("run('true')", "-", "not measured: no "+python+"; make py first")
		return nil
	}
	_, dir, err := b.small(ctx)
	if err != nil {
		return err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, python, "-c", pythonScript, dir, fmt.Sprint(b.rounds(300)))
	cmd.Env = append(os.Environ(), "AGENTFENSE_ENDPOINT=unix://"+b.socket)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	seconds := map[string][]float64{}
	if err := json.Unmarshal(stdout.Bytes(), &seconds); err != nil {
		return err
	}
	of := func(name string) (s samples) {
		for _, v := range seconds[name] {
			s = append(s, time.Duration(v*float64(time.Second)))
		}
		return s
	}
	b.table.times("SDK run('true')", of("run"), of("subprocess"), "subprocess.run(['bash', '-c', 'true'])")
	b.table.times("SDK session create", of("create"), of("plain create"), "a bash behind pipes, first answer")
	b.table.times("SDK session exec true", of("exec"), of("plain exec"), "the same to a bash behind pipes")
	b.table.times("SDK write_file 1 MiB", of("up"), of("plain up"), "pathlib's write_bytes beside the delta")
	b.table.times("SDK read_file_bytes 1 MiB", of("down"), of("plain down"), "pathlib's read_bytes")
	b.table.times("SDK from_local, run, destroy", of("whole"), of("copy"), "shutil.copytree, subprocess.run, rmtree")
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
