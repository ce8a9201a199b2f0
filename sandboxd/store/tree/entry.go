package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Kind is what an entry is. The values are those of TreeEntry on the wire.
type Kind uint8

// The kinds of entries.
const (
	File    Kind = 1
	Dir     Kind = 2
	Symlink Kind = 3
)

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Dir:
		return "directory"
	case Symlink:
		return "symlink"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// Sum returns the digest of data.
func Sum(data []byte) Digest { return sha256.Sum256(data) }

// ParseDigest reads the 64 hex digits that String writes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) {
		return Digest{}, fmt.Errorf("digest has %d characters, want %d", len(s), hex.EncodedLen(len(d)))
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Digest{}, fmt.Errorf("digest holds %q, want lower-case hex digits", c)
		}
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("cannot read digest: %w", err)
	}
	return d, nil
}

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero value, which stands for no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// Entry is one name in a tree.
type Entry struct {
	Name   string
	Kind   Kind
	Mode   uint32 // permission bits, 0777 at most; a link's is always 0777
	Size   int64  // bytes of a file, length of a link's target, 0 for a directory
	MTime  int64  // nanoseconds since the epoch
	Digest Digest // of a file's content
	Target string // of a link
}

// normal returns e as it is stored, or why it cannot be.
func (e Entry) normal() (Entry, error) {
	if e.Mode&^0o777 != 0 {
		return e, fmt.Errorf("%w: mode %#o has more than permission bits", ErrEntry, e.Mode)
	}
	switch e.Kind {
	case File:
		if e.Size < 0 {
			return e, fmt.Errorf("%w: size %d", ErrEntry, e.Size)
		}
		e.Target = ""
	case Dir:
		e.Size, e.Digest, e.Target = 0, Digest{}, ""
	case Symlink:
		if err := checkTarget(e.Target); err != nil {
			return e, err
		}
		e.Mode, e.Size, e.Digest = 0o777, int64(len(e.Target)), Digest{}
	default:
		return e, fmt.Errorf("%w: %v", ErrEntry, e.Kind)
	}
	return e, nil
}

func checkTarget(target string) error {
	if target == "" || len(target) > MaxPath || strings.IndexByte(target, 0) >= 0 {
		return fmt.Errorf("%w: link target is empty, longer than %d bytes or holds NUL", ErrEntry, MaxPath)
	}
	return nil
}

// CheckName says why name cannot be a name in a directory, or nil. The error
// is ErrPath.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%w: component %q", ErrPath, name)
	case len(name) > MaxName:
		return fmt.Errorf("%w: a name of %d bytes, at most %d are possible", ErrPath, len(name), MaxName)
	case strings.IndexByte(name, 0) >= 0 || strings.IndexByte(name, '/') >= 0:
		return fmt.Errorf("%w: %q holds a slash or NUL", ErrPath, name)
	}
	return nil
}
