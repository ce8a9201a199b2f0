package worker

// Stat asks for one file, which Entries answers. A link is not followed.
type Stat struct {
	ID   uint32
	Path string
}

// Rename moves a file, over what is there.
type Rename struct {
	ID       uint32
	From, To string
}

// Remove removes a file or an empty directory; recursive, also what is below.
type Remove struct {
	ID        uint32
	Path      string
	Recursive bool
}

// Removed answers Remove. Path is what could not be removed.
type Removed struct {
	ID    uint32
	Errno uint32
	Path  string
}

// Watch asks for the changes in a directory. Result says whether it is watched.
type Watch struct {
	ID        uint32
	Path      string
	Recursive bool
}

// Next asks for Events. It is sent once for each of them.
type Next struct{ ID uint32 }

// Events answers Next, or a Cancel, by some changes at least, or as the last.
type Events struct {
	ID     uint32
	Events []Event
	Last   bool
}

// Cancel ends a Remove or a Watch, which then has its last answer.
type Cancel struct{ ID uint32 }

// Event is one change below a watched directory.
type Event struct {
	Change Change
	// Path is relative to the watched directory, which is empty itself.
	Path string
	Dir  bool
}

// Change is what happened. The values are those of FileEvent.Kind on the wire.
type Change uint32

// The changes.
const (
	Created Change = iota + 1
	Modified
	Removal
	Attributes
	// Overflow says that changes below Path were lost.
	Overflow
)

func (*Stat) Kind() Kind    { return KindStat }
func (*Rename) Kind() Kind  { return KindRename }
func (*Remove) Kind() Kind  { return KindRemove }
func (*Removed) Kind() Kind { return KindRemoved }
func (*Watch) Kind() Kind   { return KindWatch }
func (*Next) Kind() Kind    { return KindNext }
func (*Events) Kind() Kind  { return KindEvents }
func (*Cancel) Kind() Kind  { return KindCancel }

func (m *Stat) fields(c *codec)    { c.u32(&m.ID); c.str(&m.Path) }
func (m *Rename) fields(c *codec)  { c.u32(&m.ID); c.str(&m.From); c.str(&m.To) }
func (m *Remove) fields(c *codec)  { c.u32(&m.ID); c.str(&m.Path); c.bool(&m.Recursive) }
func (m *Removed) fields(c *codec) { c.u32(&m.ID); c.u32(&m.Errno); c.str(&m.Path) }
func (m *Watch) fields(c *codec)   { c.u32(&m.ID); c.str(&m.Path); c.bool(&m.Recursive) }
func (m *Next) fields(c *codec)    { c.u32(&m.ID) }
func (m *Cancel) fields(c *codec)  { c.u32(&m.ID) }

func (m *Events) fields(c *codec) {
	c.u32(&m.ID)
	c.bool(&m.Last)
	n := uint64(len(m.Events))
	c.uint(&n)
	if c.decode {
		if n > uint64(len(c.buf)) {
			c.fail()
			return
		}
		m.Events = make([]Event, n)
	}
	for i := range m.Events {
		e := &m.Events[i]
		c.u32((*uint32)(&e.Change))
		c.str(&e.Path)
		c.bool(&e.Dir)
	}
}

func blankFile(k Kind) Message {
	switch k {
	case KindStat:
		return new(Stat)
	case KindRename:
		return new(Rename)
	case KindRemove:
		return new(Remove)
	case KindRemoved:
		return new(Removed)
	case KindWatch:
		return new(Watch)
	case KindNext:
		return new(Next)
	case KindEvents:
		return new(Events)
	case KindCancel:
		return new(Cancel)
	}
	return nil
}
