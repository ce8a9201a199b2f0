package runtime

import (
	"errors"
	"io"
	"time"
)

// ErrNoTerminal means that the sandbox has as many terminals as it may.
var ErrNoTerminal = errors.New("the sandbox has no terminal left")

// Size is that of a terminal, in characters.
type Size struct{ Cols, Rows uint16 }

// Terminal is the far side of a command's terminal, where a person would sit.
//
// Read returns what the command prints, and io.EOF once the command has ended
// and nobody else holds the terminal. Write types; it waits while what was typed
// before is unread. Neither can be made to wait past its deadline or past Close,
// whatever the sandbox does. Close hangs up.
type Terminal interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// Resize tells the foreground processes with SIGWINCH.
	Resize(Size) error
	// EndInput types the end-of-file character, if the terminal is in a mode
	// that has one.
	EndInput() error
}
