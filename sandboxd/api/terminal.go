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
	for {
		n, end := j.term.Read(buf)
		if n > 0 {
			if err := sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(end, os.ErrDeadlineExceeded) {
			break
		}
		if end != nil {
			return nil
		}
	}
	return j.restOfTerminal(buf, sink)
}

// restOfTerminal reads what a command that has ended has written. What others
// go on writing keeps nobody waiting.
func (j *job) restOfTerminal(buf []byte, sink sink) error {
	patience := terminalGrace
	for left := terminalHolds; left > 0 && patience > 0; {
		begin := time.Now()
		if err := j.term.SetReadDeadline(begin.Add(patience)); err != nil {
			return nil
		}
		n, end := j.term.Read(buf[:min(left, chunk)])
		patience -= time.Since(begin) // how long the client takes does not count
		if n > 0 {
			if err := sink(sandboxv1.ExecOutput_OUTPUT_TYPE_STDOUT, buf[:n]); err != nil {
				return err
			}
		}
		if end != nil {
			return nil
		}
		left -= n
	}
	return nil
}
