package ingest

import (
	"fmt"
	"slices"
	"strings"
)

// Reason is why an entry was left out. The values are those of SkippedEntries
// on the wire.
type Reason uint8

// The reasons.
const (
	Hidden           Reason = 1 // by the policy
	Ignored          Reason = 2 // by a pattern
	Special          Reason = 3 // a socket, device or FIFO
	HardLinkToHidden Reason = 4 // the same file as one that the policy hides
	NameTooLong      Reason = 5 // longer than the kernel can use
)

func (r Reason) String() string {
	switch r {
	case Hidden:
		return "hidden"
	case Ignored:
		return "ignored"
	case Special:
		return "special"
	case HardLinkToHidden:
		return "hard link to hidden"
	case NameTooLong:
		return "name too long"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// maxSkippedPaths is how many entries are named for each reason.
const maxSkippedPaths = 100

// Skipped tells what was left out for one reason. A directory stands for
// everything below it.
type Skipped struct {
	Reason Reason
	Count  int64
	Paths  []string // the first ones, at most 100
}

type skips [NameTooLong + 1][]string

func (s *skips) add(reason Reason, path string) { s[reason] = append(s[reason], path) }

func (s *skips) list() []Skipped {
	var list []Skipped
	for reason, paths := range s {
		if len(paths) == 0 {
			continue
		}
		slices.SortFunc(paths, strings.Compare)
		list = append(list, Skipped{
			Reason: Reason(reason), Count: int64(len(paths)),
			Paths: slices.Clone(paths[:min(len(paths), maxSkippedPaths)]),
		})
	}
	return list
}
