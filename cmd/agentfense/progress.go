package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	// progressAfter is how long something may take before its progress is shown,
	// progressEvery how often the line is written anew.
	progressAfter = 500 * time.Millisecond
	progressEvery = 100 * time.Millisecond

	barWidth  = 20
	nameWidth = 28
)

// progress is one line on a terminal about something that takes long. A nil
// progress shows nothing. It is used by one goroutine at a time.
type progress struct {
	w     io.Writer
	next  time.Time // when to write the line anew
	shown bool
	files int64 // begun so far
	done  int64 // bytes
}

// progress shows something on stderr, if that is a terminal.
func (a *app) progress() *progress {
	f, ok := a.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &progress{w: f, next: time.Now().Add(progressAfter)}
}

// ingest tells of a directory that the daemon reads.
func (p *progress) ingest(name string, files, bytes int64) {
	if p == nil {
		return
	}
	p.files, p.done = files, bytes
	p.show(func() string {
		return fmt.Sprintf("%s  %d files  %s", shortened(name), p.files, size(p.done))
	})
}

// begin tells that the next file is copied.
func (p *progress) begin() {
	if p != nil {
		p.files++
	}
}

// copied tells that n more bytes of a file are there, done of total.
func (p *progress) copied(name string, n int, done, total int64) {
	if p == nil {
		return
	}
	p.done += int64(n)
	p.show(func() string {
		line := fmt.Sprintf("%s  %s", shortened(name), bar(done, total))
		if p.files > 1 {
			line += fmt.Sprintf("  %d files  %s", p.files, size(p.done))
		}
		return line
	})
}

func (p *progress) show(line func() string) {
	if now := time.Now(); now.After(p.next) {
		p.next, p.shown = now.Add(progressEvery), true
		fmt.Fprintf(p.w, "\r%s\x1b[K", line())
	}
}

// clear takes the line away, for what else is to be written and at the end.
func (p *progress) clear() {
	if p != nil && p.shown {
		p.shown = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// bar is how much is done, as far as the total is known and right.
func bar(done, total int64) string {
	if total <= 0 || done > total {
		return size(done)
	}
	full := int(done * barWidth / total)
	return fmt.Sprintf("[%-*s] %3d %%  %s of %s", barWidth, strings.Repeat("=", full), done*100/total, size(done), size(total))
}

// shortened is the end of a name, as one that fits into the line.
func shortened(name string) string {
	letters := []rune(quoteName(name))
	if len(letters) > nameWidth {
		letters = append([]rune("..."), letters[len(letters)-nameWidth+3:]...)
	}
	return string(letters)
}
