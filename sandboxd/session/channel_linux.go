package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxLine is the longest line of a report.
	maxLine = 1 << 10
	// maxState is how many bytes a shell's state may take.
	maxState = 8 << 20
	// reportMark may stand before a report. Unlike an end of line it does not
	// make the shell write twice.
	reportMark = '\x1e'
	// maxKept is how many bytes of memory a channel keeps.
	maxKept = 64 << 10
	// maxNoise is how many bytes may come between reports that are none.
	maxNoise = 1 << 20
)

// channel is the daemon's end of a shell's socket.
type channel struct {
	conn *os.File
	key  string
	buf  []byte
	// hold counts n bytes more of a state, if its owner may have them; below zero,
	// so many less. Nil counts nothing.
	hold func(n int) bool
	held int
	// marks are the newest two that the shell has sent, the newest last.
	marks [2]mark
}

// mark is the last process id given out when a command had ended, or so the
// shell says.
type mark struct {
	seq uint32
	pid uint32
}

// report is what a shell says when a command has ended.
type report struct {
	seq   uint32
	code  int
	flags string
	// mark is all that it says if it is not nil.
	mark *mark
	// revived says that the shell executes itself anew; state is to be given
	// back to it.
	revived bool
	state   string
}

// newChannel returns a channel and the shell's end of the socket.
func newChannel() (*channel, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "shell")
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		theirs.Close()
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	var key [12]byte
	_, _ = rand.Read(key[:]) // never fails
	return &channel{conn: os.NewFile(uintptr(pair[0]), "session"), key: hex.EncodeToString(key[:])}, theirs, nil
}

// stop makes what reads and writes give up.
func (c *channel) stop() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }

// during makes reads and writes work until ctx ends; the returned function
// must be called before the next.
func (c *channel) during(ctx context.Context) (done func()) {
	_ = c.conn.SetDeadline(time.Time{})
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		c.stop()
		close(stopped)
	})
	return func() {
		if !cancel() {
			<-stopped
		}
	}
}

// unread returns how much of what was written to the shell it has not read.
func (c *channel) unread() (n int) {
	conn, err := c.conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n
}

// taken waits until the shell has read all that was written to it, or ctx ends.
func (c *channel) taken(ctx context.Context) {
	for ctx.Err() == nil && c.unread() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// next returns the report with a number, or one of a shell that executes
// itself. Older reports are skipped.
func (c *channel) next(seq uint32) (report, error) {
	c.letGo() // of the state before, which the shell has got
	noise := 0
	for {
		text, err := c.line(maxLine)
		if err != nil {
			return report{}, err
		}
		if noise += len(text) + 1; noise > maxNoise {
			return report{}, errProtocol
		}
		text, ok := c.reported(text)
		if !ok {
			continue
		}
		r, err := parseReport(text)
		switch {
		case err == nil && r.revived:
			r.state, err = c.state()
			return r, err
		case err == nil && r.mark != nil:
			c.note(*r.mark)
		case err != nil || r.seq == seq:
			return r, err
		}
	}
}

// reported returns what a line reports. What was written before that is noise,
// even without an end of line.
func (c *channel) reported(line string) (string, bool) {
	return strings.CutPrefix(line[strings.LastIndexByte(line, reportMark)+1:], c.key+" ")
}

// note keeps a mark.
func (c *channel) note(m mark) {
	if m.seq != c.marks[1].seq {
		c.marks[0] = c.marks[1]
	}
	c.marks[1] = m
}

// markBefore returns the last process id that was given out before the command
// seq, which the shell has begun.
func (c *channel) markBefore(seq uint32) uint32 {
	// What the shell has written since is only looked at: next will take it.
	if conn, err := c.conn.SyscallConn(); err == nil && len(c.buf) < chunk {
		_ = conn.Control(func(fd uintptr) {
			var chunk [4 << 10]byte
			if n, err := unix.Read(int(fd), chunk[:]); err == nil {
				c.buf = append(c.buf, chunk[:n]...)
			}
		})
	}
	for line := range strings.Lines(string(c.buf)) {
		text, ok := c.reported(strings.TrimSuffix(line, "\n"))
		if r, err := parseReport(text); ok && err == nil && r.mark != nil && strings.HasSuffix(line, "\n") {
			c.note(*r.mark)
		}
	}
	if c.marks[1].seq == seq {
		return c.marks[0].pid
	}
	return c.marks[1].pid
}

// state returns the lines up to the one that ends a shell's state.
func (c *channel) state() (string, error) {
	var all strings.Builder
	for {
		text, err := c.line(maxState)
		switch {
		case err != nil:
			return "", err
		case text == c.key+" .":
			return all.String(), nil
		case all.Len()+len(text) >= maxState:
			return "", errProtocol
		}
		all.WriteString(text)
		all.WriteByte('\n')
	}
}

// more counts n more bytes of a state.
func (c *channel) more(n int) bool {
	if c.hold == nil || !c.hold(n) {
		return c.hold == nil
	}
	c.held += n
	return true
}

// letGo counts what was read of states as gone.
func (c *channel) letGo() {
	if c.held > 0 {
		c.hold(-c.held)
		c.held = 0
	}
}

// line returns the next line, of at most most bytes.
func (c *channel) line(most int) (string, error) {
	seen := 0
	for {
		if i := bytes.IndexByte(c.buf[seen:], '\n'); i >= 0 {
			text, left := string(c.buf[:seen+i]), c.buf[seen+i+1:]
			if cap(c.buf) > maxKept && len(left) < maxKept {
				c.buf = nil // it was for a state
			}
			c.buf = append(c.buf[:0], left...)
			return text, nil
		}
		if seen = len(c.buf); seen > most {
			return "", errProtocol
		}
		var chunk [4 << 10]byte
		n, err := c.conn.Read(chunk[:])
		if most == maxState && !c.more(n) {
			return "", errProtocol
		}
		c.buf = append(c.buf, chunk[:n]...)
		if err != nil {
			return "", err
		}
	}
}

// parseReport reads "d SEQ CODE FLAGS", "m SEQ MARK" or "r CODE".
func parseReport(text string) (r report, err error) {
	fields := strings.Fields(text)
	number := func(i, bits int) uint64 {
		if i >= len(fields) {
			err = errProtocol
			return 0
		}
		n, perr := strconv.ParseUint(fields[i], 10, bits)
		if perr != nil {
			err = errProtocol
		}
		return n
	}
	switch {
	case len(fields) > 0 && fields[0] == "d":
		r.seq, r.code = uint32(number(1, 32)), exitCode(number(2, 16))
		if len(fields) > 3 {
			r.flags = fields[3]
		}
	case len(fields) > 0 && fields[0] == "m":
		r.mark = &mark{uint32(number(1, 32)), uint32(number(2, 32))}
	case len(fields) > 0 && fields[0] == "r":
		r.code, r.revived = exitCode(number(1, 16)), true
	default:
		err = errProtocol
	}
	return r, err
}

// exitCode returns a code as other shells have it: ksh adds 256, not 128, to
// the number of a signal.
func exitCode(n uint64) int {
	if n > 0xff {
		return 0x80 | int(n&0x7f)
	}
	return int(n)
}

// gone reports whether an error means that the shell has closed its end.
func gone(err error) bool {
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errProtocol)
}

// bootTime is the time that the start of processes is measured by.
func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // every kernel has it
	return time.Duration(ts.Nano())
}
