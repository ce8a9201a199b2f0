package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// copyOut copies a file or a directory out of a sandbox. What the sandbox says
// is not trusted: nothing is written outside of the destination, and no link
// there is followed out of it.
func (j *copyJob) copyOut(ctx context.Context, from place, to string) error {
	if from.path == "" {
		from.path = "/"
	}
	at, err := j.client.sandboxes.StatFile(ctx, &sandboxv1.StatFileRequest{SandboxId: from.sandbox, Path: []byte(from.path)})
	if err != nil {
		return err
	}
	if fi, err := os.Stat(to); err == nil && fi.IsDir() || strings.HasSuffix(to, "/") {
		name := path.Base(path.Clean("/" + from.path))
		if name == "/" {
			name = "workspace"
		}
		to = filepath.Join(to, name)
	}
	switch {
	case at.GetIsDir():
		return j.fetchTree(ctx, from, to)
	case len(at.GetSymlinkTarget()) > 0:
		j.leaveOut(from.path, "a symbolic link")
		return nil
	}
	root, err := os.OpenRoot(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer root.Close()
	return j.fetchFile(ctx, from, root, filepath.Base(to), at)
}

// fetchTree copies a directory, one listing after the other.
func (j *copyJob) fetchTree(ctx context.Context, from place, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for todo := []string{"."}; len(todo) > 0; {
		dir := todo[0]
		todo = todo[1:]
		list, err := j.client.sandboxes.ListSandboxFiles(ctx, &sandboxv1.ListSandboxFilesRequest{
			SandboxId: from.sandbox, Path: []byte(path.Join(from.path, dir)),
		})
		if err != nil {
			return err
		}
		for _, f := range list.GetFiles() {
			name := path.Join(dir, path.Base(string(f.GetPathBytes())))
			if !filepath.IsLocal(name) {
				return fmt.Errorf("the sandbox lists a file of the name %s", quoteName(name))
			}
			if f.GetIsDir() {
				if err := root.MkdirAll(name, 0o755); err != nil {
					return err
				}
				todo = append(todo, name)
				continue
			}
			if err := j.fetchEntry(ctx, place{from.sandbox, path.Join(from.path, name)}, root, name, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *copyJob) fetchEntry(ctx context.Context, from place, root *os.Root, name string, f *sandboxv1.FileInfo) error {
	if len(f.GetSymlinkTarget()) > 0 {
		j.leaveOut(from.path, "a symbolic link")
		return nil
	}
	err := j.fetchFile(ctx, from, root, name, f)
	if reasonOf(err) == "NOT_A_FILE" {
		j.leaveOut(from.path, "not a regular file")
		return nil
	}
	return err
}

// fetchFile streams one file into a temporary one, which then takes its name.
func (j *copyJob) fetchFile(ctx context.Context, from place, root *os.Root, name string, at *sandboxv1.FileInfo) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := j.client.sandboxes.ReadFile(ctx, &sandboxv1.ReadFileRequest{SandboxId: from.sandbox, Path: []byte(from.path)})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return fmt.Errorf("%s: %w", quoteName(from.path), err)
	}
	temp := path.Join(path.Dir(name), ".agentfense-"+rand.Text())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, os.FileMode(at.GetMode()&0o777))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(temp)
		}
	}()
	j.progress.begin()
	done := int64(0)
	err = receive(f, stream, first, func(n int) {
		done += int64(n)
		j.progress.copied(from.path, n, done, at.GetSize())
	})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", quoteName(from.path), err)
	}
	return root.Rename(temp, name)
}

func receive(f io.Writer, stream grpc.ServerStreamingClient[sandboxv1.FileChunk], m *sandboxv1.FileChunk, wrote func(n int)) error {
	for {
		n, err := f.Write(m.GetData())
		if err != nil {
			return err
		}
		wrote(n)
		m, err = stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
