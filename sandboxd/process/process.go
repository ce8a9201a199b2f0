package process

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// Exit is how a process ended.
type Exit struct {
	Status runtime.Status
	// Err is what else its clients have to know: that it ran out of time, or
	// that its changes could not be committed. Nil if nothing.
	Err error
}

// Process is one command in the background.
type Process struct {
	ID        string
	SandboxID string
	Command   string
	Started   time.Time
	// Running is the command itself.
	Running runtime.Process
	Output  *Output
	// Input is nil if the standard input ends with what the request had.
	Input *Input

	// request and forgotten belong to the table.
	request   Request
	forgotten bool
	unwatch   func() bool

	mu   sync.Mutex
	exit *Exit
}

// NewID returns a fresh id: 128 random bits.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return "proc_" + hex.EncodeToString(b[:])
}

// Exit returns how the process ended; nil while it runs.
func (p *Process) Exit() *Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

func (p *Process) setExit(e Exit) {
	p.mu.Lock()
	p.exit = &e
	p.mu.Unlock()
	p.Output.End(nil)
}
