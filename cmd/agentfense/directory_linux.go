package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// directory is the directory that becomes a codebase. The device and inode let
// the daemon see that it reads the one that the user meant.
type directory struct {
	path          string // absolute, without symbolic links
	device, inode uint64
}

func resolveDir(path string) (*directory, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, usagef("--dir: %w", err)
	}
	// The daemon follows no link; it gets the inode to see that this is it.
	target, err := filepath.EvalSymlinks(abs) //nolint:forbidigo // the user's own path, before anything is trusted
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("--dir: %s does not exist: name the directory with the code", quoteName(path))
	}
	if err != nil {
		return nil, usagef("--dir: %w", err)
	}
	st, err := os.Stat(target)
	if err != nil {
		return nil, usagef("--dir: %w", err)
	}
	if !st.IsDir() {
		return nil, usagef("--dir: %s is not a directory", quoteName(path))
	}
	sys := st.Sys().(*syscall.Stat_t)
	return &directory{path: target, device: sys.Dev, inode: sys.Ino}, nil
}

// codebaseName is the directory's own name, as plain text.
func (d *directory) codebaseName() string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(filepath.Base(d.path), "?"))
}

// ingest has the daemon read the directory into the codebase.
func (d *directory) ingest(ctx context.Context, c sandboxv1.CodebaseServiceClient, codebase string, opt *sandboxv1.IngestOptions, show *progress) (*sandboxv1.IngestResult, error) {
	defer show.clear()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.IngestDirectory(ctx, &sandboxv1.IngestDirectoryRequest{
		CodebaseId: codebase,
		Directory:  []byte(d.path),
		Device:     d.device,
		Inode:      d.inode,
		Options:    opt,
	})
	if err != nil {
		return nil, err
	}
	for {
		p, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the daemon ended the stream without a result")
		}
		if err != nil {
			return nil, err
		}
		if p.GetResult() != nil {
			return p.GetResult(), nil
		}
		show.ingest(d.path, p.GetFiles(), p.GetBytesRead())
	}
}

var skipReasons = map[sandboxv1.SkippedEntries_Reason]string{
	sandboxv1.SkippedEntries_REASON_HIDDEN:              "hidden by the policy",
	sandboxv1.SkippedEntries_REASON_IGNORED:             "ignored",
	sandboxv1.SkippedEntries_REASON_SPECIAL:             "sockets, devices and FIFOs",
	sandboxv1.SkippedEntries_REASON_HARD_LINK_TO_HIDDEN: "hard links to hidden files",
	sandboxv1.SkippedEntries_REASON_NAME_TOO_LONG:       "names too long",
}

// shownSkips is how many left-out names of one reason are printed.
const shownSkips = 10

// reportIngest says what went in and what did not.
func reportIngest(w io.Writer, r *sandboxv1.IngestResult) {
	fmt.Fprintf(w, "agentfense: took %d files, %d directories, %d symbolic links, %s\n",
		r.GetFiles(), r.GetDirectories(), r.GetSymlinks(), size(r.GetBytes()))
	for _, s := range r.GetSkipped() {
		reason, ok := skipReasons[s.GetReason()]
		if !ok {
			reason = fmt.Sprintf("reason %d", s.GetReason())
		}
		var names []string
		for i, p := range s.GetPaths() {
			if i == shownSkips {
				break
			}
			names = append(names, quoteName(string(p)))
		}
		if int64(len(names)) < s.GetCount() {
			names = append(names, "...")
		}
		fmt.Fprintf(w, "agentfense: left out %d (%s): %s\n", s.GetCount(), reason, strings.Join(names, ", "))
	}
}
