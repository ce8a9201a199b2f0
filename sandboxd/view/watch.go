package view

import (
	"errors"
	"os"
	"time"

	"github.com/agentfense/agentfense/sandboxd/view/handover"
)

// logger is the part of slog.Logger that a view needs.
type logger interface {
	Debug(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

// watch kills the process when it does not answer, or answers but gets no
// request done. It returns when the process has ended or the manager stops.
func (i *instance) watch(p *process, log logger) {
	var last handover.Message
	idle := 0
	for {
		m, err := i.ping(p, log)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				log.Error("view process does not answer, killing it")
				p.kill()
			}
			return
		}
		if m.Busy > 0 && m.Done == last.Done {
			idle++
		} else {
			idle = 0
		}
		if idle >= i.m.timing.stuck {
			log.Error("view process gets nothing done, killing it", "busy", m.Busy)
			p.kill()
			return
		}
		last = m
		select {
		case <-time.After(i.m.timing.ping):
		case <-i.ended:
			return
		case <-i.stopping:
			return
		case <-i.m.life.Done():
			return
		}
	}
}

// ping sends a ping and returns the pong. What the process reports meanwhile
// goes to the log.
func (i *instance) ping(p *process, log logger) (handover.Message, error) {
	p.deadline(i.m.timing.pong)
	if err := p.send(handover.Message{Kind: handover.Ping}); err != nil {
		return handover.Message{}, err
	}
	for {
		m, err := p.receive()
		if err != nil {
			return m, err
		}
		switch m.Kind {
		case handover.Pong:
			return m, nil
		case handover.Fault:
			log.Error("view answered EIO", "err", m.Text)
		}
	}
}
