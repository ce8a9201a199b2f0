package policy

// Tree is a snapshot as far as a policy needs to know it. The root is node 0.
type Tree interface {
	// Children yields the entries of a directory until yield returns false.
	Children(dir uint32, yield func(node uint32, name string, isDir bool) bool)
}

// Reveals reports whether something below a directory of the tree is visible,
// so that the directory itself shows as a bare one even where its own verdict
// is None. The cursor is the directory's.
//
// It looks only where [Cursor.MayReveal], and stops at the first that it finds.
func (p *Policy) Reveals(t Tree, dir uint32, c Cursor) bool {
	if !c.MayReveal() {
		return false
	}
	found := false
	t.Children(dir, func(node uint32, name string, isDir bool) bool {
		child := c.Child(name)
		found = child.Verdict().Level > None || isDir && p.Reveals(t, node, child)
		return !found
	})
	return found
}
