// Package handover is what a manager hands to the process that serves a view:
// open descriptors, a configuration, and messages on a control socket.
//
// Patterns are bytes and arrive as they were sent. The policy's digest travels
// beside the rules, so a process that reads other rules into them refuses to
// serve.
package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/agentfense/agentfense/policy"
)

// The descriptors of a view process. Everything else is closed.
const (
	// FuseFD is /dev/fuse, bound to a mount.
	FuseFD = 3 + iota
	// ObjectsFD is a detached, read-only mount of the directory of file contents.
	ObjectsFD
	// TreeFD is the encoded snapshot.
	TreeFD
	// ConfigFD holds a Config.
	ConfigFD
	// ControlFD is a SEQPACKET socket, one Message a packet.
	ControlFD
	// BinaryFD is what the process was executed from.
	BinaryFD
	// EndFD is the first descriptor that is not used.
	EndFD
)

// ErrPolicy means that the rules of a Config are not those of its digest.
var ErrPolicy = errors.New("rules do not have the digest that was sent with them")

// Config tells a view process what to serve and who to be.
type Config struct {
	Rules  []Rule
	Digest []byte // of the policy
	Owner  uint32 // uid and gid of all entries
	UID    uint32 // of the process
	GID    uint32 // of the process
}

// Rule is a policy.Rule that keeps bytes that are not text.
type Rule struct {
	Pattern  []byte
	Type     policy.PatternType
	Level    policy.Level
	Priority int32
}

// NewConfig returns the Config that makes p the policy of a view process.
func NewConfig(p *policy.Policy) Config {
	digest := p.Digest()
	c := Config{Digest: digest[:]}
	for _, r := range p.Rules() {
		c.Rules = append(c.Rules, Rule{[]byte(r.Pattern), r.Type, r.Level, r.Priority})
	}
	return c
}

// Policy compiles the rules.
func (c Config) Policy() (*policy.Policy, error) {
	rules := make([]policy.Rule, len(c.Rules))
	for i, r := range c.Rules {
		rules[i] = policy.Rule{Pattern: string(r.Pattern), Type: r.Type, Level: r.Level, Priority: r.Priority}
	}
	p, err := policy.Compile(rules)
	if err != nil {
		return nil, fmt.Errorf("cannot compile the policy: %w", err)
	}
	if digest := p.Digest(); string(digest[:]) != string(c.Digest) {
		return nil, ErrPolicy
	}
	return p, nil
}

// Kind is what a Message says.
type Kind string

// The kinds of messages. Only Ping goes to the process.
const (
	Ready  Kind = "ready"  // the process serves; Landlock is set
	Failed Kind = "failed" // it ends because of Text
	Fault  Kind = "fault"  // a request was answered with EIO because of Text
	Ping   Kind = "ping"   // asks for a Pong
	Pong   Kind = "pong"   // Busy and Done are set
)

// MaxMessage is the longest packet on a control socket.
const MaxMessage = 4096

// Message is one packet on the control socket.
type Message struct {
	Kind Kind
	Text string `json:",omitempty"`
	// Landlock is the ABI that confines the process, 0 for none.
	Landlock int `json:",omitempty"`
	// Busy and Done count requests: being worked on, and ever answered.
	Busy uint64 `json:",omitempty"`
	Done uint64 `json:",omitempty"`
}

// Send writes m as one packet. A long text is cut.
func Send(socket *os.File, m Message) error {
	const room = MaxMessage / 8 // JSON writes six bytes for some
	if len(m.Text) > room {
		m.Text = m.Text[:room]
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = socket.Write(data)
	return err
}

// Receive reads one packet. The error is io.EOF when the other side is gone.
func Receive(socket *os.File) (Message, error) {
	var m Message
	buf := make([]byte, MaxMessage)
	n, err := socket.Read(buf)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(buf[:n], &m); err != nil {
		return m, fmt.Errorf("cannot read message: %w", err)
	}
	return m, nil
}
