package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// screen is the terminal that we run on. While a command has it, keys reach the
// command as they are. A nil screen is none.
type screen struct {
	// keyboard is set raw; nil: only the size matters.
	keyboard *os.File
	sized    *os.File // whose size counts; nil: unknown
	winch    chan os.Signal
	before   *term.State
}

// newScreen looks for our terminal. With a keyboard it must be there.
func newScreen(stdin *os.File, keyboard bool, outputs ...any) (*screen, error) {
	s := &screen{winch: make(chan os.Signal, 1)}
	if keyboard {
		if !term.IsTerminal(int(stdin.Fd())) {
			return nil, usagef("-i and -t together need a terminal as standard input: leave -t out to pass on a file or a pipe")
		}
		s.keyboard = stdin
	}
	for _, f := range append([]any{stdin}, outputs...) {
		if file, ok := f.(*os.File); ok && file != nil && term.IsTerminal(int(file.Fd())) {
			s.sized = file
			break
		}
	}
	return s, nil
}

// size is nil where we have no terminal, or one that does not say.
func (s *screen) size() *sandboxv1.WindowSize {
	if s == nil || s.sized == nil {
		return nil
	}
	cols, rows, err := term.GetSize(int(s.sized.Fd()))
	if err != nil || cols <= 0 || rows <= 0 {
		return nil
	}
	return &sandboxv1.WindowSize{Cols: uint32(cols), Rows: uint32(rows)}
}

// begin gives the terminal to the command, until end.
func (s *screen) begin() error {
	if s == nil {
		return nil
	}
	if s.keyboard != nil {
		before, err := term.MakeRaw(int(s.keyboard.Fd()))
		if err != nil {
			return fmt.Errorf("cannot set the terminal to raw mode: %w", err)
		}
		s.before = before
	}
	signal.Notify(s.winch, syscall.SIGWINCH)
	select {
	case s.winch <- syscall.SIGWINCH: // the size may have changed since it was sent
	default:
	}
	return nil
}

func (s *screen) end() {
	if s == nil {
		return
	}
	signal.Stop(s.winch)
	if s.before != nil {
		_ = term.Restore(int(s.keyboard.Fd()), s.before) // the terminal may be gone
	}
}

// isRaw says whether keys reach us as they are.
func (s *screen) isRaw() bool { return s != nil && s.before != nil }

// newline is what ends a line of our own.
func (s *screen) newline() string {
	if s.isRaw() {
		return "\r\n"
	}
	return "\n"
}

// changed tells of new sizes.
func (s *screen) changed() <-chan os.Signal {
	if s == nil {
		return nil
	}
	return s.winch
}

// detachKeys finds ctrl-p ctrl-q in what is typed.
type detachKeys struct {
	on   bool
	held bool // the ctrl-p came last, and is not passed on yet
}

const ctrlP, ctrlQ = 'P' - '@', 'Q' - '@'

// filter returns what to pass on, and whether to leave after it.
func (k *detachKeys) filter(in []byte) (out []byte, leave bool) {
	if !k.on {
		return in, false
	}
	for _, b := range in {
		if k.held {
			if k.held = false; b == ctrlQ {
				return out, true
			}
			out = append(out, ctrlP)
		}
		if k.held = b == ctrlP; !k.held {
			out = append(out, b)
		}
	}
	return out, false
}
