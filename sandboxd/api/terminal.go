package api

import (
	"errors"
	"os"
	"time"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
)

const (
	// terminalGrace is how long the rest of a terminal's output may take to
	// come, once the command has ended.
	terminalGrace = 100 * time.Millisecond
	// terminalHolds is more than the kernel keeps of unread output.
	terminalHolds = 256 << 10
	// terminalName is what programs are told of a terminal.
	terminalName = "TERM=xterm-256color"

	defaultCols, defaultRows = 80, 24
	maxCells                 = 1<<16 - 1
)

// sizeOf returns the size of a terminal; zero is the usual one.
func sizeOf(field string, w *sandboxv1.WindowSize) (runtime.Size, error) {
	if w.GetCols() > maxCells || w.GetRows() > maxCells {
		return runtime.Size{}, invalid(field, "%d columns and %d rows, at most %d are possible", w.GetCols(), w.GetRows(), maxCells)
	}
	size := runtime.Size{Cols: uint16(w.GetCols()), Rows: uint16(w.GetRows())}
	if size.Cols == 0 {
		size.Cols = defaultCols
	}
	if size.Rows == 0 {
		size.Rows = defaultRows
	}
	return size, nil
}

// resize tells a command's terminal its new size. One that just ended has none
// any more.
func resize(term runtime.Terminal, w *sandboxv1.WindowSize) error {
	if term == nil {
		return invalid("resize", "the command has no terminal")
	}
	size, err := sizeOf("resize", w)
	if err != nil {
		return err
	}
	if err := term.Resize(size); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// keyboard is a terminal as standard input. Closing it types the end of file
// and leaves the terminal open.
type keyboard struct{ runtime.Terminal }

func (k keyboard) Close() error { return k.EndInput() }

func (k keyboard) giveUp() { _ = k.SetWriteDeadline(time.Unix(1, 0)) } // fails only if it is closed

// pumpTerminal reads a terminal until the command has ended and what it wrote
// is read. Then it hangs up: what stays in the background has no terminal.
func (j *job) pumpTerminal(sink sink) error {
	defer j.term.Close()
	buf := make([]byte, chunk)
	read := func(most int) (n int, end, serr error) {
		n, end = j.term.Read(buf[:min(most, chunk)])
		if n > 0 {
			serr = sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, buf[:n])
		}
		return n, end, serr
	}
	for {
		_, end, err := read(chunk)
		if err != nil {
			return err
		}
		if errors.Is(end, os.ErrDeadlineExceeded) {
			break
		}
		if end != nil {
			return nil
		}
	}
	for left := terminalHolds; left > 0; {
		if err := j.term.SetReadDeadline(time.Now().Add(terminalGrace)); err != nil {
			return nil
		}
		n, end, err := read(left)
		if end != nil || err != nil {
			return err
		}
		left -= n
	}
	return nil
}
