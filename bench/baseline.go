package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// bare runs a command as Exec would, but without a sandbox.
func bare(ctx context.Context, dir, command string) (string, error) {
	return output(ctx, dir, "bash", "-c", command)
}

// bwrap runs a command in fresh namespaces much like those of a sandbox.
func bwrap(ctx context.Context, dir, command string) error {
	args := []string{
		"--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
		"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", dir, "/workspace", "--chdir", "/workspace",
	}
	for _, link := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if target, err := os.Readlink(link); err == nil {
			args = append(args, "--symlink", target, link)
		}
	}
	_, err := output(ctx, dir, "bwrap", append(args, "bash", "-c", command)...)
	return err
}

func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %q: %w: %s", program, args, err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// fill makes n files of about 4 KiB, 50 a directory, with content that no other
// call makes.
func fill(dir string, n int, seed string) error {
	line := []byte("package bench // " + seed + " 000000\n")
	content := bytes.Repeat(line, 4096/len(line))
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%03d", i/50))
		if i%50 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		copy(content[len(line)-7:], fmt.Sprintf("%06d", i))
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%06d.go", i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
