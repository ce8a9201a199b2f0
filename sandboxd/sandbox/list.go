package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// Cursor is a place in the list of sandboxes, which is ordered by creation.
// The zero Cursor is before the first.
type Cursor struct {
	Created time.Time
	ID      string
}

func (c Cursor) compare(d Cursor) int {
	return cmp.Or(c.Created.Compare(d.Created), cmp.Compare(c.ID, d.ID))
}

// List returns up to n sandboxes after a cursor that keep accepts, in the order
// of their creation, and whether there are more.
func (r *Registry) List(keep func(Info) bool, after Cursor, n int) (page []Info, more bool) {
	var list []Info
	for _, s := range r.all() {
		info := s.Info()
		if info.Status == gone || (Cursor{info.Created, info.ID}).compare(after) <= 0 || !keep(info) {
			continue
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b Info) int {
		return Cursor{a.Created, a.ID}.compare(Cursor{b.Created, b.ID})
	})
	if len(list) > n {
		return list[:n], true
	}
	return list, false
}
