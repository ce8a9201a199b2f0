package worker

import (
	"fmt"
	"syscall"
)

// Kind tells what a message is; it is its first byte.
type Kind byte

// The messages, in the direction that each one travels.
const (
	KindSetup       Kind = iota + 1 // daemon to stage one
	KindReady                       // stage two to daemon: commands are welcome; files: ptmx. Runner to PID 1: a command begins
	KindFailed                      // either stage to daemon: the sandbox cannot start
	KindExec                        // daemon to worker; files: stdin, stdout, stderr
	KindStarted                     // worker to daemon, the answer to exec
	KindExited                      // worker to daemon, later
	KindSignal                      // daemon to worker
	KindKill                        // daemon to worker: the whole tree
	KindOpen                        // daemon to worker
	KindMakeDirs                    // daemon to worker
	KindList                        // daemon to worker
	KindResult                      // worker to daemon, the answer to open and mkdirs; files: the opened one
	KindEntries                     // worker to daemon, the answers to list, and the one to stat
	KindInterrupt                   // daemon to worker
	KindInterrupted                 // worker to daemon, the answer to interrupt
	KindStat                        // daemon to worker
	KindRename                      // daemon to worker, answered by a result
	KindRemove                      // daemon to worker
	KindRemoved                     // worker to daemon, the answer to remove
	KindWatch                       // daemon to worker, answered by a result and then by events
	KindNext                        // daemon to worker: the next events of a watch, please
	KindEvents                      // worker to daemon, the answers to next
	KindCancel                      // daemon to worker: end a remove or a watch
)

// Message is what travels between the daemon and a worker.
type Message interface {
	Kind() Kind
	fields(c *codec)
}

// Setup is all that stage one needs to know. Paths are the daemon's. The files
// that come with it are the tasks files of cgroups to enter, and the disk. In a
// container there are no such paths; the files are the worker's program, the view
// and, for an overlay, what is to be Dir: the last two as detached mounts.
type Setup struct {
	// Root is the mount point of the prepared root file system.
	Root string
	// View is the mount point of the view.
	View string
	// Dir holds the overlay's upper and work; empty binds the view itself.
	Dir string
	// Disk says that the last file is a detached mount to put at Dir.
	Disk bool
	// Writable, Protected and Files are those of policy.Plan.
	Writable, Protected, Files []string
	// UID is the user and group to become.
	UID uint32
	// Scratch caps what /tmp, /home/agent and /dev/shm hold together, in bytes.
	Scratch int64
	// Memory is the sandbox's memory limit in bytes, 0 for none. What outlives
	// the sandbox's processes must not fill it.
	Memory int64
	// Filter is the compiled seccomp program. Empty means none: the kernel has
	// no seccomp, and the sandbox was to start without.
	Filter string
	// NoLandlock says the same of Landlock.
	NoLandlock bool
}

// Ready says that the worker serves. Nothing of the sandbox's own has run yet,
// so what comes with it is the worker's: the sandbox's ptmx, by O_PATH. A runner
// says it before it starts a command, and not to the daemon.
type Ready struct{}

// Failed says that the sandbox cannot start, and why.
type Failed struct {
	Stage string
	Item  string
	Errno uint32
	Text  string
}

// Exec starts a command. Files says which of stdin, stdout and stderr come with
// it, as bits 0 to 2. With Terminal one file is all three, and the controlling
// terminal of the command's session.
type Exec struct {
	ID    uint32
	Argv  []string
	Env   []string
	Dir   string
	Files uint32
	Whole bool // all that descends from it ends with it

	Terminal bool
}

// Started answers Exec. Errno is 0 if the command runs, else why Op failed.
type Started struct {
	ID    uint32
	PID   uint32
	Op    string
	Path  string
	Errno uint32
}

// Exited says how a command ended. Clean says that nothing of its tree is left.
type Exited struct {
	ID       uint32
	Status   uint32 // as wait(2) gives it
	Duration int64  // nanoseconds
	Clean    bool
}

// Signal sends a signal to a command's process group.
type Signal struct {
	ID     uint32
	Number uint32
}

// Kill ends a command's tree.
type Kill struct{ ID uint32 }

// Interrupt signals a command alone and then ends what has come to its tree
// since, but for the command itself and what descends from older processes.
type Interrupt struct {
	ID     uint32
	Number uint32
	Since  int64  // nanoseconds of CLOCK_BOOTTIME
	Mark   uint32 // the last process id given out by then
}

// Interrupted says that this is done.
type Interrupted struct{ ID uint32 }

// Open opens a file.
type Open struct {
	ID    uint32
	Path  string
	Flags int64
	Mode  uint32
}

// MakeDirs creates a directory and its missing parents.
type MakeDirs struct {
	ID   uint32
	Path string
	Mode uint32
}

// List asks for the entries of a directory.
type List struct {
	ID        uint32
	Path      string
	Recursive bool
}

// Result answers Open and MakeDirs.
type Result struct {
	ID    uint32
	Errno uint32
}

// All the Entries of one List have this many entries at most, and as many bytes
// of paths and targets: a sandbox can give one long link many names for nothing.
// A listing of more ends with ErrListing.
const (
	MaxListing      = 1_000_000
	MaxListingBytes = 64 << 20
	ErrListing      = syscall.E2BIG
)

// Entries is a part of the answer to List. Each has entries, but the last.
type Entries struct {
	ID      uint32
	Entries []Entry
	Last    bool
	Errno   uint32
}

// Entry is what lstat tells of one file.
type Entry struct {
	Path    string
	Mode    uint32
	Size    int64
	ModTime int64 // nanoseconds since the epoch
	Target  string
}

func (*Setup) Kind() Kind    { return KindSetup }
func (*Ready) Kind() Kind    { return KindReady }
func (*Failed) Kind() Kind   { return KindFailed }
func (*Exec) Kind() Kind     { return KindExec }
func (*Started) Kind() Kind  { return KindStarted }
func (*Exited) Kind() Kind   { return KindExited }
func (*Signal) Kind() Kind   { return KindSignal }
func (*Kill) Kind() Kind     { return KindKill }
func (*Open) Kind() Kind     { return KindOpen }
func (*MakeDirs) Kind() Kind { return KindMakeDirs }
func (*List) Kind() Kind     { return KindList }
func (*Result) Kind() Kind   { return KindResult }
func (*Entries) Kind() Kind  { return KindEntries }

func (*Interrupt) Kind() Kind   { return KindInterrupt }
func (*Interrupted) Kind() Kind { return KindInterrupted }

func (m *Setup) fields(c *codec) {
	c.str(&m.Root)
	c.str(&m.View)
	c.str(&m.Dir)
	c.bool(&m.Disk)
	c.strs(&m.Writable)
	c.strs(&m.Protected)
	c.strs(&m.Files)
	c.u32(&m.UID)
	c.int(&m.Scratch)
	c.int(&m.Memory)
	c.str(&m.Filter)
	c.bool(&m.NoLandlock)
}

func (*Ready) fields(*codec) {}

func (m *Failed) fields(c *codec) {
	c.str(&m.Stage)
	c.str(&m.Item)
	c.u32(&m.Errno)
	c.str(&m.Text)
}

func (m *Exec) fields(c *codec) {
	c.u32(&m.ID)
	c.strs(&m.Argv)
	c.strs(&m.Env)
	c.str(&m.Dir)
	c.u32(&m.Files)
	c.bool(&m.Whole)
	c.bool(&m.Terminal)
}

func (m *Started) fields(c *codec) {
	c.u32(&m.ID)
	c.u32(&m.PID)
	c.str(&m.Op)
	c.str(&m.Path)
	c.u32(&m.Errno)
}

func (m *Exited) fields(c *codec) {
	c.u32(&m.ID)
	c.u32(&m.Status)
	c.int(&m.Duration)
	c.bool(&m.Clean)
}

func (m *Signal) fields(c *codec) { c.u32(&m.ID); c.u32(&m.Number) }
func (m *Kill) fields(c *codec)   { c.u32(&m.ID) }

func (m *Interrupt) fields(c *codec) {
	c.u32(&m.ID)
	c.u32(&m.Number)
	c.int(&m.Since)
	c.u32(&m.Mark)
}

func (m *Interrupted) fields(c *codec) { c.u32(&m.ID) }

func (m *Open) fields(c *codec) {
	c.u32(&m.ID)
	c.str(&m.Path)
	c.int(&m.Flags)
	c.u32(&m.Mode)
}

func (m *MakeDirs) fields(c *codec) { c.u32(&m.ID); c.str(&m.Path); c.u32(&m.Mode) }
func (m *List) fields(c *codec)     { c.u32(&m.ID); c.str(&m.Path); c.bool(&m.Recursive) }
func (m *Result) fields(c *codec)   { c.u32(&m.ID); c.u32(&m.Errno) }

func (m *Entries) fields(c *codec) {
	c.u32(&m.ID)
	c.bool(&m.Last)
	c.u32(&m.Errno)
	n := uint64(len(m.Entries))
	c.uint(&n)
	if c.decode {
		if n > uint64(len(c.buf)) {
			c.fail()
			return
		}
		m.Entries = make([]Entry, n)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		c.str(&e.Path)
		c.u32(&e.Mode)
		c.int(&e.Size)
		c.int(&e.ModTime)
		c.str(&e.Target)
	}
}

// Marshal returns m as bytes.
func Marshal(m Message) []byte {
	c := codec{buf: []byte{byte(m.Kind())}}
	m.fields(&c)
	return c.buf
}

// Unmarshal is the inverse of Marshal. It never panics, whatever b holds.
func Unmarshal(b []byte) (Message, error) {
	if len(b) == 0 {
		return nil, errMalformed
	}
	m := blank(Kind(b[0]))
	if m == nil {
		return nil, fmt.Errorf("unknown message kind %d", b[0])
	}
	c := codec{buf: b[1:], decode: true}
	m.fields(&c)
	if c.err == nil && len(c.buf) > 0 {
		c.fail()
	}
	return m, c.err
}

func blank(k Kind) Message {
	switch k {
	case KindSetup:
		return new(Setup)
	case KindReady:
		return new(Ready)
	case KindFailed:
		return new(Failed)
	case KindExec:
		return new(Exec)
	case KindStarted:
		return new(Started)
	case KindExited:
		return new(Exited)
	case KindSignal:
		return new(Signal)
	case KindKill:
		return new(Kill)
	case KindOpen:
		return new(Open)
	case KindMakeDirs:
		return new(MakeDirs)
	case KindList:
		return new(List)
	case KindResult:
		return new(Result)
	case KindEntries:
		return new(Entries)
	case KindInterrupt:
		return new(Interrupt)
	case KindInterrupted:
		return new(Interrupted)
	}
	return blankFile(k)
}
