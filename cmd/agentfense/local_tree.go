package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/agentfense/agentfense/policy"
)

// localTree is a directory of this host as a policy sees a snapshot. It reads
// what is asked for; symbolic links are entries, never followed.
type localTree struct {
	root  *os.Root
	paths []string // by node, relative to the root
	err   error    // the first failure to read
}

func openLocalTree(dir string) (*localTree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, usagef("--dir: %w", err)
	}
	return &localTree{root: root, paths: []string{"."}}, nil
}

func (t *localTree) Close() { _ = t.root.Close() }

func (t *localTree) node(path string) uint32 {
	t.paths = append(t.paths, path)
	return uint32(len(t.paths) - 1)
}

// Children makes localTree a policy.Tree.
func (t *localTree) Children(dir uint32, yield func(node uint32, name string, isDir bool) bool) {
	path := t.paths[dir]
	entries, err := t.read(path)
	if err != nil && t.err == nil {
		t.err = err
	}
	for _, e := range entries {
		if !yield(t.node(path+"/"+e.Name()), e.Name(), e.IsDir()) {
			return
		}
	}
}

func (t *localTree) read(path string) ([]fs.DirEntry, error) {
	f, err := t.root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// findIn looks a codebase's path up in a directory.
func findIn(dir string, p *policy.Policy, path string) (*foundJSON, error) {
	tree, err := openLocalTree(dir)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	plan, err := p.Plan(tree)
	if err != nil {
		return nil, err
	}
	found := &foundJSON{Created: slices.Contains(plan.Created, path)}
	cursor := p.Root()
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name != "" {
			cursor = cursor.Child(name)
		}
	}
	relative := "." + strings.TrimSuffix(path, "/")
	st, err := tree.root.Lstat(relative)
	switch {
	case err == nil:
		found.Exists = true
		found.Kind = kindOf(st.Mode())
		found.Visible = path == "/" || cursor.Verdict().Level > policy.None ||
			st.IsDir() && p.Reveals(tree, tree.node(relative), cursor)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cannot look up %s: %w", quoteName(path), err)
	}
	if tree.err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", quoteName(dir), tree.err)
	}
	return found, nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symlink"
	}
	return "special file"
}
