package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// copyChunk is how much of a file goes into one message.
const copyChunk = 256 << 10

// copyIn copies a file or a directory of this machine into a sandbox.
func (j *copyJob) copyIn(ctx context.Context, from string, to place) error {
	fi, err := os.Stat(from)
	if err != nil {
		return err
	}
	into := strings.HasSuffix(to.path, "/") || to.path == ""
	if !into {
		at, err := j.client.sandboxes.StatFile(ctx, &sandboxv1.StatFileRequest{SandboxId: to.sandbox, Path: []byte(to.path)})
		if err != nil && !hasCode(err, codes.NotFound) || reasonOf(err) == "SANDBOX_NOT_FOUND" {
			return err
		}
		into = at.GetIsDir()
	}
	if into {
		abs, err := filepath.Abs(from)
		if err != nil {
			return err
		}
		to.path = path.Join("/", to.path, filepath.Base(abs))
	}
	if fi.IsDir() {
		return j.sendTree(ctx, from, to)
	}
	if !fi.Mode().IsRegular() { // before an open that may wait for ever
		return fmt.Errorf("%s is not a regular file", quoteName(from))
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	return j.sendFile(ctx, f, to)
}

// sendTree copies a directory, and follows no link in it.
func (j *copyJob) sendTree(ctx context.Context, from string, to place) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer root.Close()
	for todo := []string{"."}; len(todo) > 0; {
		dir := todo[0]
		todo = todo[1:]
		_, err := j.client.sandboxes.MakeDirectory(ctx, &sandboxv1.MakeDirectoryRequest{
			SandboxId: to.sandbox, Path: []byte(path.Join("/", to.path, dir)),
		})
		if err != nil {
			return err
		}
		entries, err := readDir(root, dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch {
			case e.IsDir():
				todo = append(todo, name)
			case e.Type().IsRegular():
				f, err := root.Open(name)
				if err != nil {
					return err
				}
				if err := j.sendFile(ctx, f, place{to.sandbox, path.Join("/", to.path, name)}); err != nil {
					return err
				}
			case e.Type()&fs.ModeSymlink != 0:
				j.leaveOut(filepath.Join(from, name), "a symbolic link")
			default:
				j.leaveOut(filepath.Join(from, name), "not a regular file")
			}
		}
	}
	return nil
}

func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

// sendFile streams one file, which it closes.
func (j *copyJob) sendFile(ctx context.Context, f *os.File, to place) error {
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := j.client.sandboxes.WriteFile(ctx)
	if err != nil {
		return err
	}
	j.progress.begin()
	done, total := int64(0), fi.Size()
	start := &sandboxv1.WriteFileRequest_Start{SandboxId: to.sandbox, Path: []byte(to.path), Mode: uint32(fi.Mode().Perm())}
	err = stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: start}})
	for buf := make([]byte, copyChunk); err == nil; {
		n, rerr := f.Read(buf)
		if n > 0 {
			err = stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: buf[:n]}})
			done += int64(n)
			j.progress.copied(to.path, n, done, total)
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			return rerr
		}
	}
	if err != nil && !errors.Is(err, io.EOF) { // then the answer says why
		return err
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return fmt.Errorf("%s: %w", quoteName(to.path), err)
	}
	return nil
}
